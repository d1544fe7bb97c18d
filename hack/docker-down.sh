#!/usr/bin/env bash
# Ends the engine that docker-up.sh started in DIR, with all that is in it and all it has made.
# usage: hack/docker-down.sh [--keep] [DIR]   (default .cache/docker; --keep: only stop, docker-up.sh resumes)
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$ROOT/hack/engine.sh"
keep=
[ "${1:-}" != --keep ] || { keep=1 && shift; }
engine_dir "${1:-}"

if [ ! -e "$DIR/engine.env" ] && [ ! -e "$EXEC_ROOT" ] && [ ! -e "/sys/class/net/$BRIDGE" ]; then
    say "no engine in $DIR"
    exit
fi
[ "$(id -u)" = 0 ] || die "only root can stop dockerd: use sudo"

# Names of devices of this engine's addresses: its own bridge and those of its networks.
bridges() { ip -4 -o address | awk -v net="^10\\\\.$NET\\\\." '$4 ~ net { print $2 }' | sort -u; }

# What still runs for it: what dockerd started, which inherits its environment, and what containers run.
left_over() {
    local containers
    containers=$(find "$DIR/data/containers" -mindepth 1 -maxdepth 1 -printf '|%f' 2>/dev/null || true)
    { grep -lszxF "ATELIER_PIDFILE=$DIR/dockerd.pid" /proc/[0-9]*/environ
      [ -z "$containers" ] || grep -lsE "/(${containers#|})" /proc/[0-9]*/cgroup; } | cut -d/ -f3 | sort -u
}
none_left_over() { [ -z "$(left_over)" ]; }
# By force: the sockets of the killed shims, which lie in a folder common to all, go with them.
kill_left_over() {
    left_over | xargs -r kill -KILL 2>/dev/null || true
    { cat "$EXEC_ROOT"/containerd/daemon/io.containerd.runtime.v2.task/*/*/address 2>/dev/null || true; } |
        sed -n 's|^unix://\(/run/containerd/s/[0-9a-f]*\)$|\1|p' | xargs -r rm -f
}

if [ -z "$keep" ]; then
    # Only a running engine removes its things in order, so one that crashed is started once more.
    running "$DIR/dockerd.pid" || kill_left_over
    "$ROOT/hack/docker-up.sh" "$DIR" || say "the engine cannot be asked to tidy up: removing it by force"
    if answers >/dev/null 2>&1; then
        say "removing its containers, networks and volumes"
        docker ps -aq | xargs -r docker rm -f -v >/dev/null || true
        docker network prune -f >/dev/null || true
        docker volume ls -q | xargs -r docker volume rm -f >/dev/null || true
    fi
fi
say "stopping dockerd: $DOCKER_HOST"
stop "$DIR/dockerd.pid" 30
left_over | xargs -r kill 2>/dev/null || true
wait_for 5 none_left_over || kill_left_over
[ -z "$keep" ] || exit 0

# shellcheck disable=SC1091
. "$DIR/engine.env"
close_firewall
bridges | xargs -rn1 ip link delete
{ grep -oE " ($DIR|$EXEC_ROOT)/[^ ]+ " /proc/self/mounts || true; } | sort -r | xargs -r umount -l
rm -rf "$EXEC_ROOT" "$DIR/data" "$DIR"/{dockerd.log,dockerd.pid,daemon.json,engine.env,docker.sock}
rmdir "$DIR" 2>/dev/null || true
say "nothing is left of the engine in $DIR"
