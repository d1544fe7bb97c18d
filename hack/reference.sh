#!/usr/bin/env bash
# Writes docs/reference/ anew, from the Rust types and the command line.
# usage: hack/reference.sh [--check]     (--check: change nothing, and fail if it differs)
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need cargo "install Rust from https://rustup.rs"
cd "$ROOT"
write() { cargo run --quiet --locked --package atelier --bin atelier -- reference --output-dir "$1"; }

if [ "${1:-}" != --check ]; then
    write docs/reference
    say "docs/reference/: $(cat docs/reference/*.md | wc -c) bytes"
    exit
fi
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
write "$made"
diff -ru docs/reference "$made" >&2 || die "docs/reference/ is not what the code says: run make reference"
