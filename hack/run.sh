#!/usr/bin/env bash
# The controller in the foreground, on KUBECONFIG or else on the cluster of cluster-up.sh.
# usage: hack/run.sh [FLAGS OF atelier controller]
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need cargo "install Rust from https://rustup.rs"
if [ -z "${KUBECONFIG:-}" ]; then
    "$ROOT/hack/cluster-up.sh"
    export KUBECONFIG=$CACHE/cluster/kubeconfig
fi
cd "$ROOT"
exec cargo run --quiet --locked --package atelier --bin atelier -- controller "$@"
