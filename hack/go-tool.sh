#!/usr/bin/env bash
# Prints the path of a tool that is built from Go modules: that of hack/tools/NAME/go.mod.
# usage: hack/go-tool.sh helm|kubeconform|promtool
#
# Built once into .cache/bin (minutes), and again when its go.mod changes. Not taken from PATH: what another
# version accepts or prints may differ.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

name=${1:?usage: hack/go-tool.sh helm|kubeconform|promtool}
modules=$ROOT/hack/tools/$name
[ -e "$modules/go.mod" ] || die "there is no hack/tools/$name"
package=$(sed -n 's/^tool //p' "$modules/go.mod")
bin=$CACHE/bin
stamp=$(cat "$modules/go.mod" "$modules/go.sum" | sha256sum | cut -d' ' -f1)

mkdir -p "$bin"
exec 9>"$CACHE/$name.lock"
flock 9
if [ "$(cat "$bin/.$name" 2>/dev/null)" != "$stamp" ] || [ ! -x "$bin/$name" ]; then
    need go "install Go 1.26 or newer"
    say "building $name from Go modules, once: it may take minutes"
    cd "$modules"
    CGO_ENABLED=0 nice go build -buildvcs=false -trimpath -ldflags "-s -w" -o "$bin/$name.new" "$package" >&2
    mv -f "$bin/$name.new" "$bin/$name"
    echo "$stamp" >"$bin/.$name"
    say "built in ${SECONDS}s: $bin/$name"
fi
echo "$bin/$name"
