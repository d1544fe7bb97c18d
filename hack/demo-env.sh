# shellcheck shell=bash
# What demo.sh and demo-down.sh both know: which cluster and engine the demo is on, and its controller.
# Needs lib.sh.

DEMO=$CACHE/demo
export TEAM=design-studio OPERATOR_NAMESPACE=atelier-demo-system
export CLUSTER_DIR=$DEMO/cluster ENGINE_DIR=$DEMO/docker

# The choice is made once and kept in demo.env until demo-down, so that every later call finds the
# same cluster and engine whatever the environment says then.
load_demo() {
    [ -e "$DEMO/demo.env" ] || return 1
    # shellcheck disable=SC1091
    . "$DEMO/demo.env"
    export KUBECONFIG DOCKER_HOST
}

# choose_kubectl: sets KUBECTL for CLUSTER, and kubectl() to it.
choose_kubectl() {
    KUBECTL=$(type -P kubectl || true)     # not the function below
    if [ "$CLUSTER" = ours ] || [ -z "$KUBECTL" ]; then KUBECTL=$("$ROOT/hack/tools.sh" kubectl); fi
    kubectl() { "$KUBECTL" --context "$CONTEXT" --request-timeout=20s "$@"; }
}

controller() { echo "${CARGO_TARGET_DIR:-$ROOT/target}/debug/atelier"; }

build_controller() {
    need cargo "install Rust from https://rustup.rs"
    say "building the controller"
    (cd "$ROOT" && cargo build --quiet --locked --package atelier --bin atelier >&2)
}

# Leaves one that runs alone, unless it was built anew since.
start_controller() {
    local pidfile=$DEMO/controller.pid
    if running "$pidfile"; then
        [ ! "/proc/$(cat "$pidfile")/exe" -ef "$(controller)" ] || return 0
        say "restarting the controller: it was built anew"
        stop "$pidfile"
    fi
    say "starting the controller: log in $DEMO/controller.log"
    start "$pidfile" "$DEMO/controller.log" "$(controller)" controller \
        --kubeconfig "$KUBECONFIG" --context "$CONTEXT" --backend-config cluster --operator-namespace "$OPERATOR_NAMESPACE" \
        --registry-bind "$REGISTRY_ADDRESS:$REGISTRY_PORT" --metrics-bind "127.0.0.1:$METRICS_PORT"
    serves() { curl -fsS --noproxy '*' --max-time 5 "http://127.0.0.1:$METRICS_PORT/readyz"; }
    settled() { serves || ! running "$pidfile"; }
    wait_for 60 settled || true
    serves >/dev/null 2>&1 || die "the controller does not become ready; the end of its log: $(log_end "$DEMO/controller.log")"
}
