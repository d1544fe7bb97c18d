#!/usr/bin/env bash
# Runs what the documents tell a reader to type: page by page, in their order, in one shell a page. Of a page counts
# what a comment on a line of its own marks:
#
#   <!-- test -->               the next block is run; where a command fails, the page fails
#   <!-- test: into FILE -->    it is written to FILE
#   <!-- test: dry-run -->      the API server is asked whether it would accept these objects
#   <!-- test: background -->   it is started, and ended at  <!-- test: stop -->  or with the page
#   <!-- test: hidden           the lines up to the end of the comment are run: checks, and what a reader has anyway
#
# usage: hack/docs-test.sh [PAGE...]      (default: every page with such a comment)
#
# All of it happens in a copy of the checkout, with a cluster and an engine of its own, in namespaces of its own for
# network, processes and mounts: nothing that runs on this machine is in its way, and all of it ends with this script.
# Pages that start what they need come first. The others find the environment of `start_environment`; the last of them
# takes it apart.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
OWN_ENVIRONMENT=(docs/first-team.md docs/installing.md docs/control-plane.md README.md)
LAST=docs/operating.md
WHERE=$CACHE/docs-test
COPY=$WHERE/atelier

# script PAGE: the marked blocks as one script.
script() {
    awk -v page="$1" '
        function fail(why) { print page ":" FNR ": " why > "/dev/stderr"; bad = 1; exit 1 }
        function begin(what) {
            printf "at %s:%d\n", page, FNR
            if (what == "run") return
            if (what == "dry-run") print "kubectl apply --dry-run=server -f - >/dev/null <<\x27END-OF-BLOCK\x27"
            else if (what == "background") print "background <<\x27END-OF-BLOCK\x27"
            else printf "cat >%s <<\x27END-OF-BLOCK\x27\n", what
        }
        hidden { if (/-->/) hidden = 0; else print; next }
        inside { if (/^```/) { inside = 0; if (what != "run") print "END-OF-BLOCK"; what = "" } else print; next }
        /^<!-- test: hidden$/ { printf "at %s:%d\n", page, FNR; hidden = 1; next }
        /^<!-- test: stop -->$/ { print "stop_background"; next }
        /^<!-- test/ {
            if (what != "") fail("the mark before this one has no block")
            if (/^<!-- test -->$/) what = "run"
            else if (match($0, /^<!-- test: (dry-run|background|into [A-Za-z0-9.\/-]+) -->$/)) {
                what = $0; sub(/^<!-- test: /, "", what); sub(/ -->$/, "", what); sub(/^into /, "", what)
            } else fail("no such mark: " $0)
            next
        }
        /^```/ { if (what != "") { begin(what); inside = 1 } else other = !other; next }
        what != "" && !other && NF { fail("a mark stands directly above its block") }
        END { if (!bad && (inside || hidden || what != "")) fail("a mark has no block, or a block no end") }' "$1"
}

# What the script of a page may call. `at` runs before each block.
at() { echo "$1" >"$AT"; }
background() {
    at "$(cat "$AT") (in the background: $AT.log)"
    setsid bash -euo pipefail -c "$(cat)" >>"$AT.log" 2>&1 </dev/null &
    echo $! >>"$AT.pids"
}
stop_background() {
    local pid
    while read -r pid; do
        kill -- "-$pid" 2>/dev/null || continue
        wait "$pid" 2>/dev/null || true
    done < <(cat "$AT.pids" 2>/dev/null)
    rm -f "$AT.pids"
}
export -f at background stop_background

# run_page PAGE: in a shell of its own, in the copy.
run_page() {
    local page=$1 began=$SECONDS status=0 name
    name=$(tr / - <<<"${page%.md}")
    script "$page" >"$WHERE/$name.sh" || return
    export AT=$WHERE/$name.at
    rm -f "$AT"*
    (cd "$COPY" && exec timeout --kill-after 10 300 bash -euo pipefail "$WHERE/$name.sh") >"$WHERE/$name.log" 2>&1 </dev/null || status=$?
    stop_background
    if [ "$status" != 0 ]; then
        printf '%s\n' "--- $page: the block at $(cat "$AT"); exit code $status; the end of its output:" "$(tail -n 30 "$WHERE/$name.log")" >&2
        return 1
    fi
    say "$page: $(grep -c '^at ' "$WHERE/$name.sh") blocks, $((SECONDS - began)) s"
}

start_environment() (
    cd "$COPY"
    hack/cluster-up.sh && hack/docker-up.sh || return
    export KUBECONFIG=$COPY/.cache/cluster/kubeconfig DOCKER_HOST=unix://$COPY/.cache/docker/docker.sock
    hack/image.sh || return
    kubectl create namespace atelier-system >/dev/null
    sed -e "s|unix:///var/run/docker.sock|$DOCKER_HOST|" \
        -e "s|10.201.0.0/16|$(sed -n 's/^POOL=//p' .cache/docker/engine.env)|" \
        examples/backend-config.yaml | kubectl apply -f - >/dev/null
    # What the pages may refer to without making it.
    kubectl create secret generic model-keys --from-literal=ANTHROPIC_API_KEY=none >/dev/null
    start "$WHERE/controller.pid" "$WHERE/controller.log" atelier controller --keys-period 1s --preflight-period 2s \
        --registry-bind "$(sed -n 's/^GATEWAY=//p' .cache/docker/engine.env):8090"
    kubectl wait --for=condition=Ready --timeout=60s backendconfig/cluster >/dev/null
)

end() {
    stop "$WHERE/controller.pid" || true
    (cd "$COPY" && hack/demo-down.sh; hack/docker-down.sh; hack/cluster-down.sh) >>"$WHERE/end.log" 2>&1 ||
        say "something is left in $WHERE: see end.log there"
}

# In the namespaces.
inside() {
    trap end EXIT
    ip link set lo up
    # The view that /sys gives of the network is that of whoever mounted it.
    mkdir -p "$WHERE/cgroup"
    mount --rbind /sys/fs/cgroup "$WHERE/cgroup"
    mount -t sysfs sysfs /sys
    mount --move "$WHERE/cgroup" /sys/fs/cgroup
    # Pages may write to /etc: into the air.
    mkdir "$WHERE/etc"
    mount -t tmpfs tmpfs "$WHERE/etc"
    mkdir "$WHERE"/etc/{upper,work}
    mount -t overlay overlay -o "lowerdir=/etc,upperdir=$WHERE/etc/upper,workdir=$WHERE/etc/work" /etc
    # A demo takes an engine that answers where docker looks first, and ours is not that one.
    [ ! -S /var/run/docker.sock ] || mount --bind /dev/null /var/run/docker.sock
    unset KUBECONFIG DOCKER_HOST DOCKER_CONTEXT DEMO_CONTEXT http_proxy https_proxy HTTP_PROXY HTTPS_PROXY
    export KUBEBUILDER_ASSETS=$WHERE/bin PATH=$WHERE/bin:$PATH CARGO_NET_OFFLINE=true
    local page failed=() own=" ${OWN_ENVIRONMENT[*]} " late=() last=()
    for page in "$@"; do
        if [[ $own == *" $page "* ]]; then
            run_page "$page" || failed+=("$page")
        elif [ "$page" = $LAST ]; then
            last=("$page")
        else
            late+=("$page")
        fi
    done
    late+=("${last[@]}")
    if [ ${#late[@]} -gt 0 ]; then
        start_environment >"$WHERE/environment.log" 2>&1 || die "the environment does not start: $(log_end "$WHERE/environment.log")"
        export KUBECONFIG=$COPY/.cache/cluster/kubeconfig DOCKER_HOST=unix://$COPY/.cache/docker/docker.sock
        for page in "${late[@]}"; do run_page "$page" || failed+=("$page"); done
    fi
    [ ${#failed[@]} -eq 0 ] || die "not as documented: ${failed[*]}; logs in $WHERE"
}

if [ "${ATELIER_DOCS_INSIDE:-}" = yes ]; then
    inside "$@"
    exit
fi

need cargo "install Rust from https://rustup.rs"
need unshare "install util-linux"
need setpriv "install util-linux"
[ "$(id -u)" = 0 ] || die "only root can start what the pages run on: use sudo"
. "$ROOT/hack/engine.sh"
cd "$ROOT"
if [ $# = 0 ]; then
    mapfile -t pages < <(git ls-files '*.md' | xargs grep -lE '^<!-- test')
    set -- "${pages[@]}"
fi
for page in "$@"; do script "$page" >/dev/null || die "$page: its marks cannot be read"; done

install_docker
hack/image.sh --binary >/dev/null
ec2sim=$(hack/ec2sim.sh)
say "building the controller"
cargo build --quiet --locked --package atelier --bin atelier
mkdir -p "$WHERE"
exec 9>"$CACHE/docs-test.lock"
flock -n 9 || die "the documents are being tested in $WHERE"
rm -rf "$WHERE" && mkdir -p "$COPY/.cache" "$WHERE/bin"
git ls-files -z | xargs -0 cp --parents -t "$COPY"
target=$(realpath "${CARGO_TARGET_DIR:-$ROOT/target}")
ln -s "$target" "$COPY/target"
ln -s "$WHERE/bin" "$COPY/.cache/bin"
ln -s "$target/debug/atelier" "$WHERE/bin/atelier"
ln -s "$ec2sim" "$WHERE/bin/ec2sim"
for name in etcd kube-apiserver kube-controller-manager kubectl; do ln -s "$(hack/tools.sh $name)" "$WHERE/bin/$name"; done
ln -s "$(hack/go-tool.sh helm)" "$WHERE/bin/helm"
# What the copy builds is what was built here: in another folder cargo would do it all again.
printf '#!/bin/sh\ncd "%s" && CARGO_TARGET_DIR="%s" exec "%s" "$@"\n' "$ROOT" "$target" "$(command -v cargo)" >"$WHERE/bin/cargo"
chmod +x "$WHERE/bin/cargo"

# Whatever becomes of this process, nothing of it stays.
ATELIER_DOCS_INSIDE=yes setpriv --pdeathsig KILL unshare --net --pid --mount --mount-proc --fork --kill-child "$ROOT/hack/docs-test.sh" "$@" 9>&-
rm -rf "$WHERE"
