#!/usr/bin/env bash
# Tests the real boots of ec2sim on a Docker engine that is started for them and removed at the end.
# usage: hack/ec2sim-real.sh
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need cargo "install Rust from https://rustup.rs"
cd "$ROOT"
ENGINE=$CACHE/ec2sim
trap 'hack/docker-down.sh "$ENGINE"' EXIT
hack/docker-up.sh "$ENGINE"
if [ ! -x "${ATELIER_TEST_BUSYBOX:=/bin/busybox}" ]; then
    say "installing busybox-static"
    { apt-get install --yes busybox-static || { apt-get update && apt-get install --yes busybox-static; }; } >/dev/null ||
        die "there is no static busybox at $ATELIER_TEST_BUSYBOX: install the package busybox-static"
fi
export ATELIER_TEST_BUSYBOX
# A part of the addresses that the engine's firewall lets out.
ATELIER_TEST_VPC=$(sed -n 's/^POOL=\(10\.[0-9]*\)\..*/\1.200.0\/24/p' "$ENGINE/engine.env") \
ATELIER_TEST_DOCKER_HOST=unix://$ENGINE/docker.sock \
    cargo test --locked --package ec2sim --test it -- --ignored real::
