#!/usr/bin/env bash
# Every check there is. The black-box tests start an API server and an engine of their own.
# usage: hack/test.sh
# A stage that fails does not keep the next from running; the failed ones are named at the end.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need cargo "install Rust from https://rustup.rs"
cd "$ROOT"
failed=()
stage() {
    local name=$1 began=$SECONDS
    shift
    say "$name"
    "$@" || failed+=("$name")
    say "$name: $((SECONDS - began)) s"
}

control_plane() {
    for name in etcd kube-apiserver kube-controller-manager kubectl; do hack/tools.sh "$name" || return; done
}

go_tools() {
    for name in helm kubeconform promtool; do hack/go-tool.sh "$name" || return; done
}

stage "control plane binaries" control_plane
stage "Flux's binary" hack/flux.sh
stage "tools from Go modules" go_tools
stage "lint" hack/lint.sh
stage "unit tests" cargo test --locked --package atelier --package atelier-wire --lib --bins --no-fail-fast
# Not the whole workspace: with the features of all its packages together, the SDK would be built once more.
stage "doctests" cargo test --locked --package atelier --package atelier-wire --doc --no-fail-fast
stage "unit tests on a real engine and API server" hack/test-real.sh
stage "chart" hack/chart.sh
stage "simulator of EC2" cargo test --locked --package ec2sim --no-fail-fast
stage "real boots of the simulator" hack/ec2sim-real.sh
stage "EC2 calls against the simulator and moto" hack/conformance.sh
stage "agent" cargo test --locked --package atelier-agent --tests --no-fail-fast
stage "agent binary" hack/image.sh --binary
stage "documents" hack/docs-test.sh
stage "black-box tests" cargo test --locked --package atelier --test it --no-fail-fast

[ ${#failed[@]} -eq 0 ] || die "failed: $(printf '%s; ' "${failed[@]}")"
