# shellcheck shell=bash
# What docker-up.sh and docker-down.sh know of one engine. Needs lib.sh.

# engine_dir DIR: names everything that belongs to the engine in DIR.
engine_dir() {
    DIR=$(realpath -m "${1:-$CACHE/docker}")
    SOCKET=$DIR/docker.sock
    export DOCKER_HOST=unix://$SOCKET
    unset DOCKER_CONTEXT DOCKER_TLS_VERIFY DOCKER_CERT_PATH
    # A network device's name has at most 15 characters.
    BRIDGE=atl-$(printf %s "$DIR" | sha256sum | cut -c1-8)
    # Short, because the address of containerd's socket below it must be.
    EXEC_ROOT=/run/atelier/$BRIDGE
}

answers() { curl -fsS --max-time 5 --unix-socket "$SOCKET" http://engine/_ping >/dev/null; }

# The containerd of a dockerd that was killed dies with it, but a dockerd that starts waits in vain
# for one that is still dying, or that no init has reaped.
forget_containerd() {
    local file=$EXEC_ROOT/containerd/containerd.pid pid
    pid=$(cat "$file" 2>/dev/null) || return 0
    if grep -qszxF "ATELIER_PIDFILE=$DIR/dockerd.pid" "/proc/$pid/environ"; then
        kill -KILL "$pid" 2>/dev/null || true
        wait_for 10 gone "$pid" || die "containerd (process $pid) does not end"
    fi
    rm -f "$file"
}

install_docker() {
    local missing=()
    command -v dockerd >/dev/null || missing+=(docker.io)
    command -v iptables >/dev/null || missing+=(iptables)
    command -v ip >/dev/null || missing+=(iproute2)
    command -v curl >/dev/null || missing+=(curl)
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null || die "install ${missing[*]}, or set DOCKER_HOST to an engine that runs"
    say "installing ${missing[*]}"
    mkdir -p "$CACHE"
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"; } \
        >"$CACHE/apt.log" 2>&1 </dev/null || die "apt-get could not install ${missing[*]}: see $CACHE/apt.log"
}

# Memory limits need cgroups; minimal machines do not mount them.
mount_cgroups() {
    mountpoint -q /sys/fs/cgroup || mount -t cgroup2 cgroup2 /sys/fs/cgroup ||
        die "no cgroups at /sys/fs/cgroup and none can be mounted: containers cannot be limited here"
}

# Takes a /16 for the engine: .0 its bridge, .64-.127 its default pool, .128-.255 Team networks.
# Making the bridge is what takes it, so two engines that start at once must take turns.
claim_network() {
    NET=$(sed -n 's/^NET=//p' "$DIR/engine.env" 2>/dev/null || true)
    [ ! -e "/sys/class/net/$BRIDGE" ] || return 0
    exec 8>/run/atelier/lock
    flock 8
    local used
    used=$({ ip -4 route; ip -4 -o address; } | grep -o '\b10\.[0-9]*\.' || true)
    # The one it had comes first: the networks in it have addresses of it.
    for NET in $NET $(seq 202 239) ''; do
        [ -n "$NET" ] || die "no free network among 10.202.0.0/16 to 10.239.0.0/16"
        grep -qx "10\.$NET\." <<<"$used" || break
    done
    ip link add "$BRIDGE" type bridge
    ip address add "10.$NET.0.1/24" dev "$BRIDGE"
    ip link set "$BRIDGE" up
    exec 8>&-
    printf '%s\n' "NET=$NET" "BRIDGE=$BRIDGE" "GATEWAY=10.$NET.0.1" "POOL=10.$NET.128.0/17" >"$DIR/engine.env"
}

# Our rules carry the bridge's name as comment: close_firewall finds them by it.
open_firewall() {
    local ours=10.$NET.0.0/16 tag=(-m comment --comment "$BRIDGE")
    close_firewall
    iptables -w -t nat -A POSTROUTING -s "$ours" ! -d "$ours" "${tag[@]}" -j MASQUERADE
    iptables -w -I FORWARD -s "$ours" "${tag[@]}" -j ACCEPT
    iptables -w -I FORWARD -d "$ours" "${tag[@]}" -j ACCEPT
    # One network must not reach another. What stays on one bridge passes here too where
    # br_netfilter is loaded; where the kernel cannot tell it apart, all may pass.
    if iptables -w -I FORWARD -s "$ours" -d "$ours" -m physdev ! --physdev-is-bridged "${tag[@]}" -j DROP 2>/dev/null; then
        return
    fi
    say "this kernel has no xt_physdev: the engine's networks are not kept apart"
}

close_firewall() {
    local table rule
    for table in nat filter; do
        iptables -w -t "$table" -S | grep -E -- "--comment \"?$BRIDGE\"? " | sed 's/^-A/-D/' |
            while read -r rule; do xargs iptables -w -t "$table" <<<"$rule"; done || true
    done
}
