#!/usr/bin/env bash
# Format, lints, documentation, its reference pages and its links, shell scripts. Changes nothing.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need cargo "install Rust from https://rustup.rs"
cd "$ROOT"
say "format"
cargo fmt --all --check
say "clippy"
cargo clippy --quiet --locked --workspace --all-targets -- -D warnings
say "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --quiet --locked --workspace --no-deps
say "reference pages"
hack/reference.sh --check
say "links"
hack/docs-links.sh
if command -v shellcheck >/dev/null; then
    say "shellcheck"
    shellcheck --severity=warning --external-sources --source-path=SCRIPTDIR --source-path="$ROOT" hack/*.sh .ci/run src/backend/ec2/*.sh
else
    say "shellcheck is not installed: the scripts are not checked"
fi
