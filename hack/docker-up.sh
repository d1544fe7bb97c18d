#!/usr/bin/env bash
# Starts a Docker engine of our own: own socket, data, bridge and addresses.
# usage: hack/docker-up.sh [DIR]        (default .cache/docker; DOCKERD_ARGS: more flags for dockerd)
#
# The engine listens on unix://DIR/docker.sock. DIR/engine.env tells its BRIDGE, GATEWAY (where
# containers find this host) and POOL (addresses for Team networks, no other engine's).
# Any number can run side by side, and next to an engine of the user's. An engine that crashed or
# was stopped by `docker-down.sh --keep` comes back with what was in it.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$ROOT/hack/engine.sh"
engine_dir "${1:-}"

if running "$DIR/dockerd.pid" && answers; then
    say "the engine already runs: $DOCKER_HOST"
    exit
fi
[ "$(id -u)" = 0 ] || die "only root can start dockerd: use sudo, or set DOCKER_HOST to an engine that you may use"
[ ${#SOCKET} -lt 108 ] || die "$SOCKET is longer than the 107 bytes that a unix socket may have: use a shorter folder"
install_docker
mount_cgroups
stop "$DIR/dockerd.pid"     # one that hangs
mkdir -p "$DIR" "$EXEC_ROOT"
claim_network
open_firewall

say "starting dockerd: $DOCKER_HOST, network 10.$NET.0.0/16"
# A daemon.json of our own, so that the user's has no say; a containerd namespace of our own,
# because dockerd uses a containerd that it finds running. The firewall is ours too: a dockerd
# that starts flushes the chains that all engines of a host share.
echo '{}' >"$DIR/daemon.json"
rm -f "$EXEC_ROOT/docker.pid"
forget_containerd
# shellcheck disable=SC2086
start "$DIR/dockerd.pid" "$DIR/dockerd.log" dockerd --config-file "$DIR/daemon.json" --host "$DOCKER_HOST" \
    --data-root "$DIR/data" --exec-root "$EXEC_ROOT" --pidfile "$EXEC_ROOT/docker.pid" \
    --containerd-namespace "$BRIDGE" --containerd-plugins-namespace "$BRIDGE-plugins" \
    --bridge "$BRIDGE" --iptables=false --default-address-pool "base=10.$NET.64.0/18,size=26" ${DOCKERD_ARGS:-}
settled() { answers || ! running "$DIR/dockerd.pid"; }
wait_for 60 settled || true
answers >/dev/null 2>&1 || die "the engine does not answer; the end of $DIR/dockerd.log: $(log_end "$DIR/dockerd.log")"
say "the engine is up: export DOCKER_HOST=$DOCKER_HOST"
