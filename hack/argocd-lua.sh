#!/usr/bin/env bash
# Builds and runs what judges objects by health checks for Argo CD: see hack/tools/argocd-lua/main.go.
# usage: hack/argocd-lua.sh DIR <objects >verdicts
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need go "install Go 1.26 or newer"
scripts=$(realpath "${1:?usage: hack/argocd-lua.sh DIR <objects >verdicts}")
cd "$ROOT/hack/tools/argocd-lua"
mkdir -p "$CACHE"
# Go builds only what has changed; two at once must not write the same file.
binary=$CACHE/argocd-lua
flock "$CACHE/argocd-lua.lock" env CGO_ENABLED=0 nice go build -buildvcs=false -trimpath -o "$binary" . >&2
exec "$binary" "$scripts"
