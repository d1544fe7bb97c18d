#!/usr/bin/env bash
# Builds the image atelier-agent:dev in the engine of DOCKER_HOST: the static agent and nothing else.
# usage: hack/image.sh [--binary]     (--binary: only builds the agent and prints where it is)
# Needs no registry.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need cargo "install Rust from https://rustup.rs"
image=atelier-agent:dev
host=$(rustc -vV | sed -n 's/^host: //p')

say "building the agent"
cd "$ROOT"
# The linked C library makes it run in an empty image. With --target, build scripts keep their flags.
RUSTFLAGS="-C target-feature=+crt-static" \
    nice cargo build --quiet --locked --profile agent --package atelier-agent --target "$host" >&2
agent=${CARGO_TARGET_DIR:-$ROOT/target}/$host/agent/atelier-agent
if [ "${1:-}" = --binary ]; then
    echo "$agent"
    exit
fi

need docker "install docker.io, or another package with docker's command line"
sum=$(sha256sum "$agent" "$ROOT/hack/agent.Dockerfile" | sha256sum | cut -d' ' -f1)
docker version >/dev/null 2>&1 || die "no Docker engine answers at ${DOCKER_HOST:-the default socket}: start one, or run make docker-up"
if [ "$(docker image inspect -f '{{index .Config.Labels "atelier.dev/content"}}' "$image" 2>/dev/null)" = "$sum" ]; then
    say "image $image is up to date"
    exit
fi
context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
install -m 755 "$agent" "$context/atelier-agent"
# The classic builder: the other one is a plugin that many machines do not have.
DOCKER_BUILDKIT=0 docker build --quiet --label "atelier.dev/content=$sum" --tag "$image" \
    --file "$ROOT/hack/agent.Dockerfile" "$context" 2>"$context/errors" >/dev/null ||
    die "docker build failed: $(cat "$context/errors")"
say "image $image: $(($(stat -c %s "$agent") / 1024)) KiB"
