#!/usr/bin/env bash
# Ends the demo: its objects first, so that their containers, networks and volumes go, then what
# the demo has started. What the user gave stays, less our objects.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$ROOT/hack/demo-env.sh"

if ! load_demo; then
    say "no demo"
    exit
fi
choose_kubectl

# Finalizers need a controller. Where cluster and engine are ours too, everything goes with them.
if kubectl get team "$TEAM" --namespace "$NAMESPACE" >/dev/null 2>&1; then
    if ! running "$DEMO/controller.pid" && [ "$CLUSTER$ENGINE" != oursours ]; then
        REGISTRY_ADDRESS=127.0.0.1
        [ -x "$(controller)" ] || build_controller
        start_controller
    fi
    say "deleting the Team and its Workspaces"
    what=(team "$TEAM" --namespace "$NAMESPACE")
    [ "$CLUSTER" = theirs ] || what=("teams,workspaces" --all --all-namespaces)
    if ! kubectl delete "${what[@]}" --cascade=foreground --timeout=120s --request-timeout=0 >/dev/null; then
        [ "$CLUSTER$ENGINE" = oursours ] ||
            die "the Team is still being deleted: $KUBECTL --context $CONTEXT describe ws -n $NAMESPACE says why; then run make demo-down again"
        say "the Workspaces were not deleted in time: they go with the engine"
    fi
fi
if [ "$CLUSTER" = theirs ]; then
    say "deleting the demo's other objects from $CONTEXT"
    kubectl delete backendconfigs.atelier.dev --selector atelier.dev/demo=true --timeout=60s --request-timeout=0 >/dev/null 2>&1 || true
fi
stop "$DEMO/controller.pid"
stop "$DEMO/control-plane.pid"
stop "$DEMO/ec2sim.pid" 60
if [ "$CLUSTER" = theirs ]; then
    [ "$CRDS" = theirs ] || kubectl delete --ignore-not-found -f "$ROOT/crds" --timeout=60s --request-timeout=0 >/dev/null
    kubectl delete namespace "$NAMESPACE" "$OPERATOR_NAMESPACE" --ignore-not-found --timeout=120s --request-timeout=0 >/dev/null
fi
if [ "$ENGINE" = ours ]; then
    "$ROOT/hack/docker-down.sh" "$ENGINE_DIR"
elif [ "$IMAGE" = ours ]; then
    docker image rm atelier-agent:dev >/dev/null 2>&1 || true
fi
[ "$CLUSTER" = theirs ] || "$ROOT/hack/cluster-down.sh" "$CLUSTER_DIR"
rm -rf "$DEMO"
say "nothing is left of the demo"
