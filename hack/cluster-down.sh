#!/usr/bin/env bash
# Ends the cluster that cluster-up.sh started in DIR and removes its data.
# usage: hack/cluster-down.sh [--keep] [DIR]   (default .cache/cluster; --keep: only stop, cluster-up.sh resumes)
set -euo pipefail
. "$(dirname "$0")/lib.sh"
keep=
[ "${1:-}" != --keep ] || { keep=1 && shift; }
DIR=$(realpath -m "${1:-$CACHE/cluster}")

if [ ! -e "$DIR/cluster.env" ]; then
    say "no cluster in $DIR"
    exit
fi
say "stopping the cluster in $DIR"
for name in kube-controller-manager kube-apiserver etcd; do
    if [ -n "$keep" ]; then
        stop "$DIR/$name.pid"
    else
        # An API server takes seconds to say goodbye; where the data goes too, nothing is lost without.
        stop "$DIR/$name.pid" 0 &
    fi
done
wait
[ -z "$keep" ] || exit 0
rm -rf "$DIR"/{etcd,certs,front-proxy,cluster.env,kubeconfig,tokens.csv,service-account.key,audit.log} "$DIR"/{etcd,kube-apiserver,kube-controller-manager}.log
rmdir "$DIR" 2>/dev/null || true
say "nothing is left of the cluster in $DIR"
