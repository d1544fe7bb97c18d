#!/usr/bin/env bash
# Prints a folder with Flux's kustomize-controller and, in crds/, the kinds that it works on.
# usage: hack/flux.sh
#
# Built once from Go modules into .cache/flux (minutes), and again when hack/tools/flux/go.mod or this script changes.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

modules=$ROOT/hack/tools/flux
flux=$CACHE/flux

version() { sed -n "s|^\s*\(require \)\?$1 \(v[0-9.]*\).*|\2|p" "$modules/go.mod"; }

# source_of MODULE: the folder of its source
source_of() { go mod download -json "$1" | sed -n 's|^\s*"Dir": "\(.*\)",\?$|\1|p'; }

build() {
    need go "install Go 1.26 or newer"
    local kustomize kind sources source=github.com/fluxcd/source-controller
    kustomize=$(version github.com/fluxcd/kustomize-controller)
    say "building Flux's kustomize-controller $kustomize from Go modules, once: about two minutes on two cores"
    rm -rf "$flux.new" && mkdir -p "$flux.new/crds"
    cd "$modules"
    CGO_ENABLED=0 nice go build -buildvcs=false -trimpath -ldflags "-s -w" -o "$flux.new/" github.com/fluxcd/kustomize-controller >&2
    install -m 644 -t "$flux.new/crds" "$(source_of github.com/fluxcd/kustomize-controller)"/config/crd/bases/*.yaml
    # Of the source-controller nothing but the kinds that the other watches, in the version that it reads.
    sources=$(cd "$flux.new" && source_of "$source@$(version $source/api)")
    for kind in gitrepositories ocirepositories buckets; do
        install -m 644 -t "$flux.new/crds" "$sources/config/crd/bases/source.toolkit.fluxcd.io_$kind.yaml"
    done
    echo "$stamp" >"$flux.new/.stamp"
    rm -rf "$flux" && mv "$flux.new" "$flux"
    say "built in ${SECONDS}s: $flux"
}

stamp=$(cat "$modules/go.mod" "$modules/go.sum" "$ROOT/hack/flux.sh" | sha256sum | cut -d' ' -f1)
mkdir -p "$CACHE"
exec 9>"$CACHE/flux.lock"
flock 9
if [ "$(cat "$flux/.stamp" 2>/dev/null)" != "$stamp" ]; then build; fi
echo "$flux"
