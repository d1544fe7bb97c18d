#!/usr/bin/env bash
# Prints the path of one control plane binary, building all of them if there is none.
# usage: hack/tools.sh etcd|kube-apiserver|kube-controller-manager|kubectl
#
# An installed binary wins: $KUBEBUILDER_ASSETS, then /usr/local/kubebuilder/bin; for kubectl
# also PATH. The rest is built once from Go modules into .cache/bin (minutes), and again when
# hack/tools/kubernetes/go.mod changes.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

name=${1:?usage: hack/tools.sh etcd|kube-apiserver|kube-controller-manager|kubectl}
modules=$ROOT/hack/tools/kubernetes
version=$(sed -n 's|^\s*k8s.io/kubernetes \(v[0-9.]*\).*|\1|p' "$modules/go.mod")
minor=$(cut -d. -f2 <<<"$version")
bin=$CACHE/bin

# kubectl supports servers one minor away; others, and things that only bear the name, do not count.
kubectl_fits() {
    local found
    found=$("$1" version --client -o json 2>/dev/null | tr -d '\n "' |
        sed -n 's/.*gitVersion:v1\.\([0-9]*\)\..*/\1/p') || return 1
    [ -n "$found" ] && [ $((found - minor)) -ge -1 ] && [ $((found - minor)) -le 1 ]
}

installed() {
    local dir path
    for dir in "${KUBEBUILDER_ASSETS:-}" /usr/local/kubebuilder/bin; do
        [ -n "$dir" ] && [ -x "$dir/$name" ] && echo "$dir/$name" && return
    done
    [ "$name" = kubectl ] && path=$(command -v kubectl) && kubectl_fits "$path" && echo "$path"
}

build() {
    local ld=k8s.io/component-base/version
    need go "install Go 1.26 or newer, or point KUBEBUILDER_ASSETS at a folder with $name"
    say "building Kubernetes $version and etcd from Go modules, once: about five minutes on two cores"
    rm -rf "$bin.new" && mkdir -p "$bin.new"
    cd "$modules"
    export CGO_ENABLED=0
    # Clients misread a server that calls itself v0.0.0.
    nice go build -buildvcs=false -trimpath -o "$bin.new/" \
        -ldflags "-s -w -X $ld.gitVersion=$version -X $ld.gitMajor=1 -X $ld.gitMinor=$minor" \
        k8s.io/kubernetes/cmd/{kube-apiserver,kube-controller-manager,kubectl} >&2
    nice go build -buildvcs=false -trimpath -o "$bin.new/etcd" -ldflags "-s -w" go.etcd.io/etcd/server/v3 >&2
    mkdir -p "$bin"
    mv -f "$bin.new"/* "$bin/" && rmdir "$bin.new"
    echo "$stamp" >"$bin/.kubernetes"
    say "built in ${SECONDS}s: $bin"
}

if path=$(installed); then
    echo "$path"
    exit
fi
stamp=$(cat "$modules/go.mod" "$modules/go.sum" | sha256sum | cut -d' ' -f1)
mkdir -p "$CACHE"
exec 9>"$CACHE/tools.lock"
flock 9
if [ "$(cat "$bin/.kubernetes" 2>/dev/null)" != "$stamp" ] || [ ! -x "$bin/$name" ]; then build; fi
echo "$bin/$name"
