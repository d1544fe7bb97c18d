#!/usr/bin/env bash
# Tells the API server of KUBECONFIG where a controller on this machine serves the aggregated API live.atelier.dev.
# usage: hack/live.sh ADDRESS:PORT NAMESPACE [--no-wait]
#
# --no-wait     do not wait until the API server reaches it: the controller is yet to start
# ADDRESS:PORT  its --live-bind; an address that is not 127.x.x.x, which Kubernetes takes for no endpoint
# NAMESPACE     the operator's namespace
# KUBECTL       use this kubectl
set -euo pipefail
. "$(dirname "$0")/lib.sh"
usage="usage: hack/live.sh ADDRESS:PORT NAMESPACE [--no-wait]"
[ $# -eq 2 ] || [ "$#${3:-}" = 3--no-wait ] || die "$usage"
address=${1%:*} port=${1##*:} namespace=$2
case $address in
127.* | 0.0.0.0) die "$address is no address of an endpoint: bind the controller's --live-bind to another one of this machine" ;;
esac
KUBECTL=${KUBECTL:-$("$ROOT/hack/tools.sh" kubectl)}
kubectl() { "$KUBECTL" --request-timeout=20s "$@"; }

known=$(kubectl get configmap extension-apiserver-authentication --namespace kube-system -o 'jsonpath={.data.requestheader-client-ca-file}' 2>/dev/null || true)
[ -n "$known" ] ||
    die "this API server passes no calls on: it runs without --requestheader-client-ca-file (hack/cluster-down.sh --keep and hack/cluster-up.sh start ours anew)"

kubectl apply -f - >/dev/null <<YAML
apiVersion: v1
kind: Service
metadata: {name: atelier-live, namespace: $namespace}
spec:
  ports: [{name: https, port: 443, targetPort: $port}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: atelier-live, namespace: $namespace, labels: {kubernetes.io/service-name: atelier-live}}
addressType: IPv4
ports: [{name: https, port: $port}]
endpoints: [{addresses: ["$address"]}]
---
# Without caBundle: the controller writes it.
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1alpha1.live.atelier.dev}
spec:
  group: live.atelier.dev
  version: v1alpha1
  groupPriorityMinimum: 100
  versionPriority: 10
  service: {namespace: $namespace, name: atelier-live, port: 443}
YAML
[ $# -eq 2 ] || exit 0
wait_for 60 kubectl get --raw /apis/live.atelier.dev/v1alpha1 ||
    die "the API server does not reach the aggregated API: $(kubectl get apiservice v1alpha1.live.atelier.dev -o 'jsonpath={.status.conditions[0].message}')"
say "the aggregated API is there: kubectl get --raw /apis/live.atelier.dev/v1alpha1"
