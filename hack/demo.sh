#!/usr/bin/env bash
# A Team of seven agents on real containers, from nothing. Running it again changes nothing.
# usage: hack/demo.sh [--ec2]     (--ec2: the same Team on EC2 instances, of the simulator, through a control plane)
#
# KUBECONFIG        use this cluster; only together with DEMO_CONTEXT, and only if it is its current context
# DEMO_CONTEXT      the name of the context that the demo may write to
# DOCKER_HOST       use this engine (a unix socket); else one that answers at docker's own default; else
#                   the demo starts its own, for which it must be root
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$ROOT/hack/demo-env.sh"

# Is this ours from an earlier run, for which `make -s kubeconfig` gave the path away?
[ "${KUBECONFIG:-}" != "$CLUSTER_DIR/kubeconfig" ] || unset KUBECONFIG
[ "${DOCKER_HOST:-}" != "unix://$ENGINE_DIR/docker.sock" ] || unset DOCKER_HOST
case "${1:-}" in
'') wanted_backend=Docker ;;
--ec2) wanted_backend=EC2 ;;
*) die "'$1' is no option: usage: hack/demo.sh [--ec2]" ;;
esac
wanted_cluster=${KUBECONFIG:-} wanted_engine=${DOCKER_HOST:-}

choose_cluster() {
    CRDS=ours
    if [ -z "$wanted_cluster" ]; then
        CLUSTER=ours KUBECONFIG=$CLUSTER_DIR/kubeconfig CONTEXT=atelier NAMESPACE=default
        return
    fi
    CLUSTER=theirs NAMESPACE=atelier-demo
    need kubectl "the demo needs it to use KUBECONFIG"
    CONTEXT=$(command kubectl config current-context) || die "KUBECONFIG ($KUBECONFIG) names no current context"
    [ "${DEMO_CONTEXT:-}" = "$CONTEXT" ] ||
        die "the demo would write to a cluster that it did not start; if you mean it: make demo DEMO_CONTEXT=$CONTEXT"
    choose_kubectl
    kubectl get namespaces >/dev/null || die "the cluster of context $CONTEXT does not answer"
    ! kubectl get crd workspaces.atelier.dev >/dev/null 2>&1 || CRDS=theirs
    ! kubectl get backendconfigs.atelier.dev cluster >/dev/null 2>&1 ||
        die "$CONTEXT has a BackendConfig 'cluster' already, which the demo would have to change: take another cluster"
}

choose_engine() {
    if [ -n "$wanted_engine" ]; then
        ENGINE=theirs DOCKER_HOST=$wanted_engine
    elif DOCKER_HOST=$(docker context inspect -f '{{.Endpoints.docker.Host}}' 2>/dev/null) && docker version >/dev/null 2>&1; then
        ENGINE=theirs
    else
        ENGINE=ours DOCKER_HOST=unix://$ENGINE_DIR/docker.sock
    fi
    [[ $DOCKER_HOST == unix://* ]] ||
        die "the demo needs an engine on this machine, at a unix socket, not $DOCKER_HOST: unset DOCKER_HOST, or apply a BackendConfig by hand"
    export DOCKER_HOST
    export IMAGE=ours
    ! docker image inspect atelier-agent:dev >/dev/null 2>&1 || IMAGE=theirs
}

if load_demo; then
    [ "${BACKEND:-Docker}" = "$wanted_backend" ] || die "a demo runs on $BACKEND: make demo-down first"
    [ -z "$wanted_cluster" ] || [ "$wanted_cluster" = "$KUBECONFIG" ] || die "a demo runs on $KUBECONFIG: make demo-down first"
    [ -z "$wanted_engine" ] || [ "$wanted_engine" = "$DOCKER_HOST" ] || die "a demo runs on the engine $DOCKER_HOST: make demo-down first"
    [ "$CLUSTER" = ours ] || [ "${DEMO_CONTEXT:-}" = "$CONTEXT" ] || die "the demo runs on your cluster; to go on: make demo DEMO_CONTEXT=$CONTEXT"
else
    choose_cluster
    choose_engine
    BACKEND=$wanted_backend REGISTRY_PORT=$(free_port) METRICS_PORT=$(free_port) CONTROL_PLANE_PORT=$(free_port)
    mkdir -p "$DEMO"
    for name in BACKEND CONTROL_PLANE_PORT CLUSTER KUBECONFIG CONTEXT NAMESPACE CRDS ENGINE DOCKER_HOST IMAGE REGISTRY_PORT METRICS_PORT; do
        printf '%s=%q\n' "$name" "${!name}"
    done >"$DEMO/demo.env"
fi
export KUBECONFIG
choose_kubectl

[ "$CLUSTER" = theirs ] || "$ROOT/hack/cluster-up.sh" "$CLUSTER_DIR"
[ "$ENGINE" = theirs ] || "$ROOT/hack/docker-up.sh" "$ENGINE_DIR"
docker version >/dev/null 2>&1 || die "no engine answers at $DOCKER_HOST"
"$ROOT/hack/image.sh"
build_controller

if [ "$CLUSTER$CRDS" = theirsours ]; then
    kubectl apply -f "$ROOT/crds" >/dev/null
    kubectl wait --for=condition=Established --timeout=30s --request-timeout=0 -f "$ROOT/crds" >/dev/null
fi

pool=$(sed -n 's/^POOL=//p' "$ENGINE_DIR/engine.env" 2>/dev/null || true)
for namespace in "$OPERATOR_NAMESPACE" "$NAMESPACE"; do
    kubectl get namespace "$namespace" >/dev/null 2>&1 || kubectl create namespace "$namespace" >/dev/null
done
if [ "$BACKEND" = EC2 ]; then
    start_cloud "${pool:-10.202.0.0/16}"
    REGISTRY_ADDRESS=$(of_cloud hostAddress)
    backend=$(ec2_backend) advertise=http://$REGISTRY_ADDRESS:$REGISTRY_PORT boot_timeout=300
else
    # Where containers find this host: the engine's bridge if that is here, any address if it is in a VM.
    bridge=$(docker network inspect bridge -f '{{(index .IPAM.Config 0).Gateway}}' 2>/dev/null || true)
    REGISTRY_ADDRESS=0.0.0.0
    if [ -n "$bridge" ] && ip -o address 2>/dev/null | grep -qF " $bridge/"; then REGISTRY_ADDRESS=$bridge; fi
    backend="{hosts: [{name: local, address: \"$DOCKER_HOST\"}], network: {pool: ${pool:-10.201.0.0/16}}}"
    advertise=http://host.docker.internal:$REGISTRY_PORT boot_timeout=60
fi

# The aggregated API, on an address at which an API server looks for endpoints.
if [ "$CLUSTER" = ours ]; then
    LIVE_ADDRESS=$REGISTRY_ADDRESS
    [ "$LIVE_ADDRESS" != 0.0.0.0 ] || LIVE_ADDRESS=$(hostname -I | awk '{ print $1 }')
    if [ -z "${LIVE_PORT:-}" ]; then
        LIVE_PORT=$(free_port)
        printf 'LIVE_PORT=%q\n' "$LIVE_PORT" >>"$DEMO/demo.env"
    fi
    export LIVE_BIND=$LIVE_ADDRESS:$LIVE_PORT
fi

say "applying the BackendConfig and the Team $TEAM"
kubectl apply -f - >/dev/null <<YAML
apiVersion: atelier.dev/v1alpha1
kind: BackendConfig
metadata: {name: cluster, labels: {atelier.dev/demo: "true"}}
spec:
  backend: $BACKEND
  ${BACKEND,,}: $backend
  runtimes: [{name: demo, image: "atelier-agent:dev", bootTimeoutSeconds: $boot_timeout}]
  registry: {advertiseURL: "$advertise", allowPlaintext: $([ "$BACKEND" = EC2 ] && echo true || echo false)}
YAML
# Before the controller, which then finds it at once. A cluster that an older demo started passes no calls on.
live() { KUBECTL=$KUBECTL "$ROOT/hack/live.sh" "$LIVE_BIND" "$OPERATOR_NAMESPACE" "$@"; }
[ "$CLUSTER" = theirs ] || live --no-wait || say "going on without the aggregated API"
start_controller
kubectl apply --namespace "$NAMESPACE" -f "$ROOT/examples/design-studio.yaml" >/dev/null

# One line whenever something changed, until the Team is Ready or says that it never will be. What is said of an
# earlier generation of the spec does not count.
progress() { kubectl get workspaces --namespace "$NAMESPACE" -o 'jsonpath={range .items[*]}{.metadata.generation} {.status.conditions[?(@.type=="Ready")].observedGeneration} {.status.conditions[?(@.type=="Ready")].status} {.status.conditions[?(@.type=="Ready")].reason}{"\n"}{end}' 2>/dev/null || true; }
team_is() {
    local generation said of
    read -r generation said of < <(kubectl get team "$TEAM" --namespace "$NAMESPACE" -o "jsonpath={.metadata.generation} {.status.conditions[?(@.type==\"$1\")].status} {.status.conditions[?(@.type==\"$1\")].observedGeneration}" && echo)
    [ "$said" = True ] && [ "$of" = "$generation" ]
}
before='' deadline=$((SECONDS + 180 + boot_timeout))
until team_is Ready; do
    now=$(progress | awk '$1 != $2 { why["not looked at"]++; next } $3 == "True" { ready++; next } { why[$4]++ }
        END { printf "%d of %d ready", ready, NR; for (reason in why) printf ", %d %s", why[reason], reason }')
    [ "$now" = "$before" ] || say "$now"
    before=$now
    if team_is Stalled || [ $SECONDS -ge $deadline ]; then
        kubectl get team,ws --namespace "$NAMESPACE" >&2
        die "the Team is not Ready; why: $KUBECTL --kubeconfig $KUBECONFIG describe ws --namespace $NAMESPACE; log: $DEMO/controller.log"
    fi
    sleep 0.2
done

# in_box ID COMMAND...: in the container of a box, wherever that is.
in_box() {
    local id=$1
    shift
    if [ "$BACKEND" = Docker ]; then
        docker exec "$id" "$@"
        return
    fi
    local inner
    inner=$(docker exec "ec2sim-$id" docker ps --quiet) && docker exec "ec2sim-$id" docker exec "$inner" "$@"
}

# Can one box reach all others at the addresses that they advertise?
read -r -d '' first box < <(kubectl get ws --namespace "$NAMESPACE" --selector atelier.dev/team=design-studio -o 'jsonpath={.items[0].metadata.name} {.items[0].status.instanceID}' && printf '\0')
reached=0
while read -r name url; do
    [ "$name" != "$first" ] || continue
    in_box "$box" /atelier-agent get "${url%/}/.well-known/agent-card.json" >/dev/null || die "$first does not reach $name at $url"
    reached=$((reached + 1))
done < <(kubectl get ws --namespace "$NAMESPACE" --selector atelier.dev/team=design-studio -o 'jsonpath={range .items[*]}{.metadata.name} {.status.agent.url}{"\n"}{end}')
[ "$reached" -gt 0 ] || die "no Workspace advertises an address"
say "$first reaches its $reached peers at the addresses that they advertise"

kubectl get team,ws --namespace "$NAMESPACE"
k=kubectl
[ "$(type -P kubectl || true)" = "$KUBECTL" ] || k=$KUBECTL
[ "$NAMESPACE" = default ] || k="$k -n $NAMESPACE"
if [ "$BACKEND" = EC2 ]; then
    endpoint=$(of_cloud endpoint)
    kill_it="curl -s $endpoint/_sim/instances/$box/kill -d '{\"code\": \"Server.InternalError\", \"message\": \"the host failed\"}'"
    who="docker exec ec2sim-$box sh -c 'docker exec \$(docker ps -q) /atelier-agent peers'"
    whose="an agent's instance"
else
    kill_it="docker kill ${box:0:12}" who="docker exec ${box:0:12} /atelier-agent peers"
    whose="an agent's container"
fi
try_live=
if [ "$CLUSTER" = ours ] && live; then
    try_live="
  4. Read an agent's log with nothing but the kubeconfig:
       kubectl get --raw '/apis/live.atelier.dev/v1alpha1/namespaces/$NAMESPACE/workspaces/$first/log?tailLines=20'"
    [ "$k" = kubectl ] || try_live=${try_live/kubectl/"$KUBECTL"}
fi
cat <<TEXT

Things to try, after: export KUBECONFIG=$KUBECONFIG DOCKER_HOST=$DOCKER_HOST
  1. Kill $whose and watch it come back:
       $kill_it; $k get ws -w
  2. Ask for what the platform does not allow, and read what is wrong and how to mend it:
       $k patch team $TEAM --type merge -p '{"spec":{"defaults":{"tier":"T4"}}}'
       $k wait --for=condition=Stalled team/$TEAM; $k describe team $TEAM
     and take it back:
       $k patch team $TEAM --type merge -p '{"spec":{"defaults":{"tier":"T1"}}}'
  3. Who is around, as one of the agents sees it:
       $who$try_live
Then: make demo-down
TEXT
