#!/usr/bin/env bash
# Builds atelier and links it where kubectl finds it: `kubectl atelier`, and its completion.
# usage: hack/install-plugin.sh [--remove]
# PREFIX: the links go to $PREFIX/bin (default ~/.local). ATELIER_BINARY: link this one, build nothing.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
bin=${PREFIX:-$HOME/.local}/bin
names=(kubectl-atelier kubectl_complete-atelier)

if [ "${1:-}" = --remove ]; then
    for name in "${names[@]}"; do [ ! -L "$bin/$name" ] || rm "$bin/$name"; done
    say "removed from $bin"
    exit
fi
binary=${ATELIER_BINARY:-}
if [ -z "$binary" ]; then
    need cargo "install Rust from https://rustup.rs"
    say "building atelier"
    (cd "$ROOT" && cargo build --quiet --locked --package atelier --bin atelier)
    binary=${CARGO_TARGET_DIR:-$ROOT/target}/debug/atelier
fi
[ -x "$binary" ] || die "$binary is no program"
mkdir -p "$bin"
for name in "${names[@]}"; do
    [ ! -e "$bin/$name" ] || [ -L "$bin/$name" ] || die "$bin/$name is there and is no link of ours: move it away"
    ln -sfn "$(realpath "$binary")" "$bin/$name"
done
case ":$PATH:" in
*":$bin:"*) say "installed: kubectl atelier --help" ;;
*) say "installed in $bin, which is not in PATH: export PATH=$bin:\$PATH" ;;
esac
