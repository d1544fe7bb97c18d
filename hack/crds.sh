#!/usr/bin/env bash
# Writes crds/ anew from the Rust types, one file a kind, and the chart's copies.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need cargo "install Rust from https://rustup.rs"
cd "$ROOT"
for folder in crds charts/atelier/files/crds; do
    cargo run --quiet --locked --package atelier --bin atelier -- crds --output-dir "$folder"
done
say "crds/: $(cat crds/*.yaml | wc -c) bytes in $(find crds -name '*.yaml' | wc -l) files"
