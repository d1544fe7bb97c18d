#!/usr/bin/env bash
# The unit tests that need a real engine or API server: the Docker adapter and the Team's applies.
# Starts both for itself and removes them at the end.
# usage: hack/test-real.sh
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need cargo "install Rust from https://rustup.rs"
cd "$ROOT"
DIR=$CACHE/real
ENGINE=$DIR/docker CLUSTER=$DIR/cluster
end() {
    hack/docker-down.sh "$ENGINE" || true
    hack/cluster-down.sh "$CLUSTER" || true
    rm -rf "$DIR"
}
trap end EXIT
mkdir -p "$DIR/tls"
# The engine listens on TCP with TLS as well: one authority, one certificate for both ends.
need openssl "it makes the certificates of the engine under test"
port=$(free_port)
(
    cd "$DIR/tls"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=test-authority \
        -keyout ca.key -out ca.crt
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=test -keyout tls.key -out tls.csr
    openssl x509 -req -in tls.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -out tls.crt \
        -extfile <(printf 'subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth')
) 2>"$DIR/tls/openssl.log" || die "openssl failed: $(log_end "$DIR/tls/openssl.log")"
DOCKERD_ARGS="--host tcp://127.0.0.1:$port --tlsverify --tlscacert $DIR/tls/ca.crt --tlscert $DIR/tls/tls.crt --tlskey $DIR/tls/tls.key" \
    hack/docker-up.sh "$ENGINE"
hack/cluster-up.sh "$CLUSTER"
# An image that can sleep, print and listen, made from a file: no registry is needed.
if [ ! -x "${ATELIER_TEST_BUSYBOX:=/bin/busybox}" ]; then
    say "installing busybox-static"
    { apt-get install --yes busybox-static || { apt-get update && apt-get install --yes busybox-static; }; } >/dev/null ||
        die "there is no static busybox at $ATELIER_TEST_BUSYBOX: install the package busybox-static"
fi
export ATELIER_TEST_BUSYBOX
ATELIER_TEST_POOL=$(sed -n 's/^POOL=//p' "$ENGINE/engine.env") \
ATELIER_TEST_DOCKER_HOST=unix://$ENGINE/docker.sock \
ATELIER_TEST_KUBECONFIG=$CLUSTER/kubeconfig \
ATELIER_TEST_DOCKER_TLS=tcp://127.0.0.1:$port,$DIR/tls \
    cargo test --locked --package atelier --lib -- --include-ignored backend::docker::real team::live_tests
