#!/usr/bin/env bash
# Writes crds/ anew from the Rust types, one file a kind.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need cargo "install Rust from https://rustup.rs"
cd "$ROOT"
cargo run --quiet --locked --package atelier --bin atelier -- crds --output-dir crds
say "crds/: $(cat crds/*.yaml | wc -c) bytes in $(find crds -name '*.yaml' | wc -l) files"
