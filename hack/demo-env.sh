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
        --registry-bind "$REGISTRY_ADDRESS:$REGISTRY_PORT" --metrics-bind "127.0.0.1:$METRICS_PORT" \
        --live-bind "${LIVE_BIND:-none}"
    serves() { curl -fsS --noproxy '*' --max-time 5 "http://127.0.0.1:$METRICS_PORT/readyz"; }
    settled() { serves || ! running "$pidfile"; }
    wait_for 60 settled || true
    serves >/dev/null 2>&1 || die "the controller does not become ready; the end of its log: $(log_end "$DEMO/controller.log")"
}

# of_cloud KEY: what the simulator of EC2 said of itself when it started.
of_cloud() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" "$DEMO/ec2sim.json" | head -n 1; }

# ids_of_cloud LIST: the ids of what can be launched, one a line.
ids_of_cloud() { python3 -c 'import json, sys
for one in json.load(open(sys.argv[1]))[sys.argv[2]]: print(one if isinstance(one, str) else one.get("id") or one["name"])' "$DEMO/ec2sim.json" "$1"; }

# as_list: the lines of the input as a list of YAML.
as_list() { paste -sd, | sed 's/.*/[&]/'; }

# start_cloud POOL: the simulator of EC2, whose instances are containers of the demo's engine that run their
# user-data, and a control plane in front of it.
start_cloud() {
    need python3 "install python3"
    local sim
    sim=$("$ROOT/hack/ec2sim.sh")
    if ! running "$DEMO/ec2sim.pid"; then
        say "starting the simulator of EC2: log in $DEMO/ec2sim.log"
        docker save --output "$DEMO/agent-image.tar" atelier-agent:dev
        # shellcheck disable=SC2016
        start "$DEMO/ec2sim.pid" "$DEMO/ec2sim.log" sh -c 'json=$1; shift; exec "$@" >"$json"' sh "$DEMO/ec2sim.json" \
            "$sim" --boot real --vpc-cidr "${1%.*.*}.200.0/24" --image-archive "$DEMO/agent-image.tar"
        listens() { [ -s "$DEMO/ec2sim.json" ]; }
        settled() { listens || ! running "$DEMO/ec2sim.pid"; }
        wait_for 60 settled || true
        listens || die "the simulator of EC2 does not start; the end of its log: $(log_end "$DEMO/ec2sim.log")"
    fi
    [ -s "$DEMO/control-plane.secret" ] || (umask 077 && od -An -N24 -tx1 /dev/urandom | tr -d ' \n' >"$DEMO/control-plane.secret")
    kubectl create secret generic control-plane --namespace "$OPERATOR_NAMESPACE" --from-file=token="$DEMO/control-plane.secret" \
        --dry-run=client -o yaml | kubectl apply -f - >/dev/null
    start_control_plane
}

start_control_plane() {
    local pidfile=$DEMO/control-plane.pid cluster
    if running "$pidfile"; then
        [ ! "/proc/$(cat "$pidfile")/exe" -ef "$(controller)" ] || return 0
        stop "$pidfile"
    fi
    cluster=$(kubectl get namespace kube-system -o 'jsonpath={.metadata.uid}')
    cat >"$DEMO/control-plane.yaml" <<YAML
region: $(of_cloud region)
endpoint: $(of_cloud endpoint)
secrets: [{name: demo, file: "$DEMO/control-plane.secret", clusterIDs: ["$cluster"]}]
allow:
  amis: $(ids_of_cloud images | as_list)
  instanceTypes: $(ids_of_cloud instanceTypes | as_list)
  subnets: $(ids_of_cloud subnets | as_list)
  securityGroups: $(ids_of_cloud securityGroups | as_list)
YAML
    say "starting the control plane: log in $DEMO/control-plane.log"
    AWS_ACCESS_KEY_ID=AKIDDEMO AWS_SECRET_ACCESS_KEY=demo AWS_EC2_METADATA_DISABLED=true \
        start "$pidfile" "$DEMO/control-plane.log" "$(controller)" control-plane \
        --settings "$DEMO/control-plane.yaml" --bind "127.0.0.1:$CONTROL_PLANE_PORT"
    works() { curl -fsS --noproxy '*' --max-time 5 "http://127.0.0.1:$CONTROL_PLANE_PORT/readyz"; }
    settled() { works || ! running "$pidfile"; }
    wait_for 60 settled || true
    works >/dev/null 2>&1 || die "the control plane does not become ready; the end of its log: $(log_end "$pidfile")"
}

# The part of the BackendConfig that says what to launch.
ec2_backend() {
    local ami
    ami=$(ids_of_cloud images | sed -n 1p)
    printf '{controlPlane: {url: "http://127.0.0.1:%s", tokenSecretRef: {name: control-plane, key: token}}, ' "$CONTROL_PLANE_PORT"
    printf 'region: %s, amiID: %s, subnetIDs: %s, securityGroupIDs: %s, ' "$(of_cloud region)" "$ami" \
        "$(ids_of_cloud subnets | as_list)" "$(ids_of_cloud securityGroups | sed -n 1p | as_list)"
    printf 'instanceTypes: [{tier: T1, types: [t3.small]}, {tier: T2, types: [t3.medium]}]}'
}
