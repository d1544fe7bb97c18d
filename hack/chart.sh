#!/usr/bin/env bash
# Checks the Helm chart: lint, bad values, every object against the API server's own schemas, a real install,
# upgrade, rollback and uninstall, the alerts, and that the Dockerfile copies what there is to be built.
# usage: hack/chart.sh [lint|values|alerts|image|cluster]...    (default: all; only `cluster` starts an API server)
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"
unset KUBECONFIG
chart=charts/atelier
dir=$CACHE/chart
for name in helm kubeconform promtool; do declare "$name=$(hack/go-tool.sh $name)"; done
kubectl=$(hack/tools.sh kubectl)
# Nothing of the user's, and nothing left behind.
export HELM_CACHE_HOME=$dir/helm HELM_CONFIG_HOME=$dir/helm HELM_DATA_HOME=$dir/helm
# shellcheck disable=SC2154     # declared above
helm() { "$helm" --namespace atelier-system "$@"; }
kubectl() { "$kubectl" --request-timeout=20s "$@"; }
# What the cluster here has no kinds for.
core=(--set serviceMonitor.enabled=false --set prometheusRule.enabled=false)

lint() {
    local values
    for values in charts/tests/values/*.yaml; do
        helm lint --strict --quiet "$chart" --values "$values" || die "helm lint fails with $values"
    done
    cmp -s <(cat crds/*.yaml) <(cat "$chart"/files/crds/*.yaml) ||
        die "$chart/files/crds differs from crds/: run make crds"
}

# Each file of bad values begins with what is said of it.
values() {
    local file expected said
    for file in charts/tests/bad/*.yaml; do
        expected=$(sed -n '1s/^# says: //p' "$file")
        [ -n "$expected" ] || die "$file does not begin with '# says: '"
        if said=$(helm template atelier "$chart" --values "$file" 2>&1); then die "$file is accepted"; fi
        grep -qF -- "$expected" <<<"$said" || die "$file should be refused with: $expected
but is with: $said"
    done
}

alerts() {
    # shellcheck disable=SC2154
    "$promtool" check rules --lint=all --lint-fatal "$chart/files/alerts.yaml" >/dev/null || die "promtool check rules fails"
    "$promtool" test rules charts/tests/alerts.yaml || die "promtool test rules fails"
    local alert
    sed -n 's/^ *- alert: //p' "$chart/files/alerts.yaml" | while read -r alert; do
        grep -q "labels: 'ALERTS{alertname=\"$alert\",alertstate=\"firing\"" charts/tests/alerts.yaml ||
            die "no test sees the alert $alert fire"
    done
}

# The image cannot be built without a registry, but what it is built of can be looked at.
image() {
    local path sources=$dir/image
    rm -rf "$sources" && mkdir -p "$sources"
    for path in $(sed -n 's/^COPY \([^-].*\) [^ ]*$/\1/p' Dockerfile); do
        grep -qx "!$path" .dockerignore || die ".dockerignore keeps $path from the Dockerfile"
        cp -r "$path" "$sources"
    done
    (cd "$sources" && cargo metadata --locked --offline --format-version 1 >/dev/null) || die "the Dockerfile copies too little"
}

# schemas FOLDER: for kubeconform, made of what this API server says of its kinds.
schemas() {
    local path separator='['
    mkdir -p "$1"
    {
        kubectl get --raw /openapi/v3 | grep -o '"/openapi/v3/[^"]*"' | tr -d '"' | while read -r path; do
            echo "$separator"
            kubectl get --raw "$path"
            separator=,
        done
        echo ']'
    } | (cd hack/tools/schemas && go run -buildvcs=false . "$1")
}

# valid FILE: every object is as the API server's schemas want it.
valid() {
    # shellcheck disable=SC2154
    "$kubeconform" -strict -summary -skip ServiceMonitor,PrometheusRule \
        -schema-location "$dir/schemas/{{ .ResourceKind }}{{ .KindSuffix }}.json" "$1" || die "kubeconform refuses $1"
}

# expect WHAT COMMAND...: the command answers WHAT.
expect() {
    local expected=$1 found
    shift
    found=$("$@") || true
    [ "$found" = "$expected" ] || die "expected '$expected', found '$found': $*"
}

cluster() {
    need go "install Go 1.26 or newer"
    hack/cluster-up.sh "$dir/cluster"
    trap 'hack/cluster-down.sh "$dir/cluster"' EXIT
    export KUBECONFIG=$dir/cluster/kubeconfig
    schemas "$dir/schemas"
    # Else each dry run warns that it cannot migrate what cluster-up.sh applied.
    kubectl annotate -f crds kubectl.kubernetes.io/last-applied-configuration- >/dev/null
    kubectl create namespace atelier-system >/dev/null
    kubectl label namespace atelier-system pod-security.kubernetes.io/warn=restricted >/dev/null

    local values rendered said
    for values in charts/tests/values/*.yaml; do
        rendered=$dir/$(basename "$values")
        helm template atelier "$chart" --values "$values" >"$rendered"
        valid "$rendered"
        helm template atelier "$chart" --values "$values" "${core[@]}" \
            --api-versions atelier.dev/v1alpha1/BackendConfig >"$rendered"
        said=$(kubectl apply --server-side --force-conflicts --dry-run=server -f "$rendered" 2>&1 >/dev/null) ||
            die "the API server refuses $values: $said"
        [ -z "$said" ] || die "the API server warns of $values: $said"
    done
    echo '{apiVersion: v1, kind: Service, metadata: {name: x}, spec: {prots: []}}' >"$dir/wrong.yaml"
    (valid "$dir/wrong.yaml") >/dev/null 2>&1 && die "kubeconform takes a field that there is not"
    echo '{apiVersion: apps/v1, kind: Deployment, metadata: {name: x}, spec: {replicas: many}}' >"$dir/wrong.yaml"
    (valid "$dir/wrong.yaml") >/dev/null 2>&1 && die "kubeconform takes a text for a number"
    lifecycle
}

# The life of a release, from a cluster that has never seen the custom resources.
lifecycle() {
    local full=(--values charts/tests/values/full.yaml "${core[@]}")
    local newer=$dir/newer crd=crd/teams.atelier.dev bc=backendconfig/cluster
    local describes='jsonpath={.spec.versions[0].schema.openAPIV3Schema.description}'
    kubectl delete -f crds >/dev/null
    helm install atelier "$chart" "${full[@]}" >"$dir/notes"
    grep -q "Back up the Secret atelier-token-keys" "$dir/notes" || die "helm install does not print the notes"
    expect local kubectl get $bc -o 'jsonpath={.spec.docker.hosts[0].name}'
    expect 3 kubectl -n atelier-system get deployment/atelier -o 'jsonpath={.spec.replicas}'
    local described
    described=$(kubectl get $crd -o "$describes")

    say "upgrade: the custom resources come along, and the BackendConfig made at first is taken over"
    rm -rf "$newer" && cp -r "$chart" "$newer"
    sed -i 's|^        description: .*|        description: newer|' "$newer/files/crds/teams.yaml"
    helm upgrade atelier "$newer" "${full[@]}" --set backendConfig.spec.docker.hosts[0].name=other --set controller.replicas=2 >/dev/null
    expect newer kubectl get $crd -o "$describes"
    expect other kubectl get $bc -o 'jsonpath={.spec.docker.hosts[0].name}'
    expect 2 kubectl -n atelier-system get deployment/atelier -o 'jsonpath={.spec.replicas}'
    helm upgrade atelier "$newer" "${full[@]}" --set backendConfig.spec.docker.hosts[0].name=third >/dev/null
    expect third kubectl get $bc -o 'jsonpath={.spec.docker.hosts[0].name}'

    say "rollback"
    helm rollback atelier 1 >/dev/null
    expect 3 kubectl -n atelier-system get deployment/atelier -o 'jsonpath={.spec.replicas}'
    expect "$described" kubectl get $crd -o "$describes"

    say "uninstall: the definitions and what people wrote stay, all else goes"
    kubectl apply -f "$ROOT/examples/design-studio.yaml" -n default >/dev/null 2>&1 || die "the example is not accepted"
    helm uninstall atelier >/dev/null
    expect "" kubectl get deployment,service,configmap,serviceaccount,role,rolebinding,clusterrole,clusterrolebinding,networkpolicy,poddisruptionbudget,apiservice \
        -A -l app.kubernetes.io/part-of=atelier -o name
    kubectl get $crd $bc >/dev/null || die "uninstalling removed $crd or $bc"
    [ "$(kubectl get teams -A -o name)" ] || die "uninstalling removed a Team"

    say "install again, also for one namespace"
    helm install atelier "$chart" "${full[@]}" >/dev/null
    helm uninstall atelier >/dev/null
    helm install atelier "$chart" --values charts/tests/values/small.yaml >/dev/null
    helm uninstall atelier >/dev/null
}

[ $# -gt 0 ] || set -- lint values alerts image cluster
for part; do
    say "chart: $part"
    "$part"
done
