#!/usr/bin/env bash
# Prints what is in use: the user's own, else cluster-up's or docker-up's, else the demo's.
# usage: hack/in-use.sh kubeconfig|docker
set -euo pipefail
. "$(dirname "$0")/lib.sh"
case ${1:-} in
kubeconfig)
    for file in "${KUBECONFIG:-}" "$CACHE/cluster/kubeconfig" "$CACHE/demo/cluster/kubeconfig"; do
        [ -z "$file" ] || [ ! -e "$file" ] || { echo "$file" && exit; }
    done
    die "no cluster is in use: make demo or make cluster-up starts one, or set KUBECONFIG"
    ;;
docker)
    for dir in "$CACHE/docker" "$CACHE/demo/docker"; do
        [ -n "${DOCKER_HOST:-}" ] || [ ! -S "$dir/docker.sock" ] || DOCKER_HOST=unix://$dir/docker.sock
    done
    echo "${DOCKER_HOST:-}"
    ;;
*) die "usage: hack/in-use.sh kubeconfig|docker" ;;
esac
