#!/usr/bin/env bash
# Starts etcd, a Kubernetes API server and the controllers that matter to Atelier, with our CRDs.
# usage: hack/cluster-up.sh [DIR]       (default .cache/cluster)
#
# DIR/kubeconfig is the admin's. Ports are free ones, so any number can run side by side. A cluster
# whose processes died comes back with the same ports and data.
# Aggregated APIs work: hack/live.sh tells the API server of ours. A cluster that ran before they did learns it
# when it is started again: hack/cluster-down.sh --keep, then this.
# ATELIER_AUDIT=1   every write, and every call of a service account, is recorded in DIR/audit.log, one JSON object a line
# APISERVER_ARGS    more flags for kube-apiserver
set -euo pipefail
. "$(dirname "$0")/lib.sh"

DIR=$(realpath -m "${1:-$CACHE/cluster}")
export KUBECONFIG=$DIR/kubeconfig
unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY     # all of this is on loopback
need openssl "install it with your package manager"
need curl "install it with your package manager"
for name in etcd kube-apiserver kube-controller-manager kubectl; do
    declare "${name//-/_}=$("$ROOT/hack/tools.sh" $name)"
done
# shellcheck disable=SC2154     # declared above
kubectl() { "$kubectl" --request-timeout=10s "$@"; }

mkdir -p "$DIR" && chmod 700 "$DIR"
if [ ! -e "$DIR/cluster.env" ]; then
    openssl genrsa -out "$DIR/service-account.key" 2048 2>/dev/null
    printf '%s\n' "ETCD=$(free_port)" "ETCD_PEER=$(free_port)" "SECURE=$(free_port)" "TOKEN=$(openssl rand -hex 16)" >"$DIR/cluster.env"
fi
# shellcheck disable=SC1091
. "$DIR/cluster.env"
printf '%s,admin,admin,"system:masters"\n' "$TOKEN" >"$DIR/tokens.csv"

# By what servers behind the API server know that it is the API server that calls.
front=$DIR/front-proxy
if [ ! -e "$front/client.crt" ]; then
    mkdir -p "$front"
    key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1" 2>/dev/null; }
    key "$front/ca.key" && key "$front/client.key"
    openssl req -x509 -new -key "$front/ca.key" -subj /CN=front-proxy-ca -days 3650 -out "$front/ca.crt" 2>/dev/null
    openssl req -new -key "$front/client.key" -subj /CN=front-proxy-client -out "$front/client.csr" 2>/dev/null
    openssl x509 -req -in "$front/client.csr" -CA "$front/ca.crt" -CAkey "$front/ca.key" -CAcreateserial -days 3650 \
        -extfile <(echo extendedKeyUsage=clientAuth) -out "$front/client.crt.new" 2>/dev/null
    mv "$front/client.crt.new" "$front/client.crt"
fi

if ! running "$DIR/etcd.pid"; then
    say "starting etcd"
    # shellcheck disable=SC2154
    start "$DIR/etcd.pid" "$DIR/etcd.log" "$etcd" --data-dir "$DIR/etcd" --unsafe-no-fsync --log-level warn \
        --listen-client-urls "http://127.0.0.1:$ETCD" --advertise-client-urls "http://127.0.0.1:$ETCD" \
        --listen-peer-urls "http://127.0.0.1:$ETCD_PEER" --initial-advertise-peer-urls "http://127.0.0.1:$ETCD_PEER" \
        --initial-cluster "default=http://127.0.0.1:$ETCD_PEER"
fi

if ! running "$DIR/kube-apiserver.pid"; then
    audit=()
    if [ -n "${ATELIER_AUDIT:-}" ]; then
        audit=(--audit-policy-file "$ROOT/hack/audit-policy.yaml" --audit-log-path "$DIR/audit.log")
    fi
    say "starting kube-apiserver: https://127.0.0.1:$SECURE"
    # Nothing here runs pods, so the admission that mounts tokens into them is off, and no
    # endpoints of the API server itself are needed.
    # shellcheck disable=SC2154,SC2086
    start "$DIR/kube-apiserver.pid" "$DIR/kube-apiserver.log" "$kube_apiserver" \
        --etcd-servers "http://127.0.0.1:$ETCD" --cert-dir "$DIR/certs" \
        --bind-address 127.0.0.1 --advertise-address 127.0.0.1 --secure-port "$SECURE" \
        --endpoint-reconciler-type none --service-cluster-ip-range 10.0.0.0/24 \
        --service-account-issuer https://kubernetes.default.svc \
        --service-account-key-file "$DIR/service-account.key" \
        --service-account-signing-key-file "$DIR/service-account.key" \
        --authorization-mode RBAC --token-auth-file "$DIR/tokens.csv" \
        --enable-aggregator-routing --requestheader-client-ca-file "$front/ca.crt" \
        --requestheader-allowed-names front-proxy-client --requestheader-username-headers X-Remote-User \
        --requestheader-group-headers X-Remote-Group --requestheader-extra-headers-prefix X-Remote-Extra- \
        --proxy-client-cert-file "$front/client.crt" --proxy-client-key-file "$front/client.key" \
        --disable-admission-plugins ServiceAccount "${audit[@]}" ${APISERVER_ARGS:-}
fi
ready() { curl -fsS --max-time 5 --cacert "$DIR/certs/apiserver.crt" -H "Authorization: Bearer $TOKEN" "https://127.0.0.1:$SECURE/readyz"; }
settled() { ready || ! running "$DIR/etcd.pid" || ! running "$DIR/kube-apiserver.pid"; }
wait_for 60 settled || true
ready >/dev/null 2>&1 || die "the API server is not ready; the end of $DIR/kube-apiserver.log: $(log_end "$DIR/kube-apiserver.log")"

cat >"$KUBECONFIG.new" <<YAML
apiVersion: v1
kind: Config
clusters:
- name: atelier
  cluster: {server: "https://127.0.0.1:$SECURE", certificate-authority-data: $(base64 -w0 "$DIR/certs/apiserver.crt")}
users:
- name: admin
  user: {token: $TOKEN}
contexts:
- name: atelier
  context: {cluster: atelier, user: admin}
current-context: atelier
YAML
chmod 600 "$KUBECONFIG.new" && mv "$KUBECONFIG.new" "$KUBECONFIG"

if [ -d "$ROOT/crds" ]; then
    say "applying crds/"
    # Not server-side: there the second time writes again, to say who owned the defaults before.
    kubectl apply -f "$ROOT/crds" >/dev/null
    kubectl wait --for=condition=Established --timeout=30s -f "$ROOT/crds" >/dev/null
fi

# After the CRDs: the garbage collector looks for new kinds only every 30 s.
if ! running "$DIR/kube-controller-manager.pid"; then
    say "starting kube-controller-manager"
    # shellcheck disable=SC2154
    start "$DIR/kube-controller-manager.pid" "$DIR/kube-controller-manager.log" "$kube_controller_manager" \
        --kubeconfig "$KUBECONFIG" --leader-elect=false --secure-port 0 \
        --service-account-private-key-file "$DIR/service-account.key" --root-ca-file "$DIR/certs/apiserver.crt" \
        --controllers garbage-collector-controller,namespace-controller,resourcequota-controller,serviceaccount-controller,serviceaccount-token-controller
fi
wait_for 90 kubectl get serviceaccount default ||
    die "the controller-manager does no work; the end of its log: $(log_end "$DIR/kube-controller-manager.log")"
say "the cluster is up: export KUBECONFIG=$KUBECONFIG"
