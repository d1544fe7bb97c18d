#!/usr/bin/env bash
# Validates the answers of ec2sim against botocore's own model of EC2.
# usage: hack/ec2sim-botocore.sh
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need cargo "install Rust from https://rustup.rs"
need python3 "install Python 3.9 or newer with the module venv"
cd "$ROOT"
VENV=$CACHE/botocore
if ! "$VENV/bin/python" -c 'import botocore' 2>/dev/null; then
    say "installing botocore"
    { python3 -m venv "$VENV" && "$VENV/bin/pip" install --quiet botocore; } >"$CACHE/botocore.log" 2>&1 ||
        die "botocore could not be installed: $(log_end "$CACHE/botocore.log")"
fi
cargo build --quiet --locked --package ec2sim
DIR=$(mktemp -d)
end() {
    stop "$DIR/pid"
    rm -rf "$DIR"
}
trap end EXIT
start "$DIR/pid" "$DIR/log" target/debug/ec2sim --no-limits
wait_for 10 grep -qs endpoint "$DIR/log" || die "ec2sim does not start: $(log_end "$DIR/log")"
"$VENV/bin/python" ec2sim/tests/botocore_check.py "$(sed -n 's/.*"endpoint":"\([^"]*\)".*/\1/p' "$DIR/log")"
