#!/usr/bin/env bash
# Writes crds/ anew from the Rust types, one file a kind.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need cargo "install Rust from https://rustup.rs"
cd "$ROOT"
all=$(cargo run --quiet --locked --package atelier --bin atelier -- crds)
mkdir -p crds
awk '/^---$/ { name = "" ; buffer = ""; next }
    name == "" { buffer = buffer $0 "\n"
                 if ($0 ~ /^  name: /) { name = "crds/" $2 ".yaml"; sub(/\.atelier\.dev/, "", name); printf "%s", buffer > name }
                 next }
    { print > name }' <<<"$all"
say "crds/: $(du -bc crds/*.yaml | tail -n 1 | cut -f1) bytes in $(find crds -name '*.yaml' | wc -l) files"
