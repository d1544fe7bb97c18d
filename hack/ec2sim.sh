#!/usr/bin/env bash
# Builds the simulator of EC2 and prints where its binary is.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need cargo "install Rust from https://rustup.rs"
cd "$ROOT"
say "building the simulator of EC2"
nice cargo build --quiet --locked --package ec2sim >&2
echo "${CARGO_TARGET_DIR:-$ROOT/target}/debug/ec2sim"
