# shellcheck shell=bash
# What every script here shares: where things are, how they speak, start, stop and wait.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export CACHE=$ROOT/.cache

say() { printf '==> %s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# need COMMAND HOW-TO-GET-IT
need() { command -v "$1" >/dev/null || die "'$1' is not installed: $2"; }

# wait_for SECONDS COMMAND...: polls until COMMAND succeeds; fails at the deadline.
wait_for() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.1
    done
}

# start PIDFILE LOG COMMAND...: in the background, in a session of its own.
# The process carries the file's name in its environment; running() knows it again by that.
start() {
    local pidfile=$1 log=$2
    shift 2
    ATELIER_PIDFILE=$pidfile setsid "$@" >>"$log" 2>&1 </dev/null &
    local pid=$!
    echo "$pid" >"$pidfile"
    # Until it has become the command it does not carry the name, and would be taken for one that has ended.
    until running "$pidfile" || gone "$pid"; do sleep 0.02; done
}

# running PIDFILE: whether the process that start() put there still lives. A pid that went to
# somebody else in the meantime does not count.
running() {
    local pid
    pid=$(cat "$1" 2>/dev/null) && [ -n "$pid" ] && ! gone "$pid" &&
        grep -qszxF "ATELIER_PIDFILE=$1" "/proc/$pid/environ"
}

# stop PIDFILE [SECONDS]: TERM, then KILL at the deadline; the file goes too.
stop() {
    if running "$1"; then
        local pid
        pid=$(cat "$1")
        { kill "$pid" && kill -CONT "$pid"; } || true
        wait_for "${2:-15}" gone "$pid" || kill -KILL "$pid" 2>/dev/null || true
        wait_for 5 gone "$pid" || die "process $pid does not end (was in $1)"
    fi
    rm -f "$1"
}

# Also a zombie is gone: nothing is left of it but an entry for its parent.
gone() { ! grep -qs '^State:[[:space:]]*[^ZX]' "/proc/$1/status"; }

# A TCP port that nobody listens on, below those that the kernel hands out.
free_port() {
    local port
    while :; do
        port=$((20000 + RANDOM % 10000))
        grep -qi ":$(printf %04X "$port") 0*:0000 0A" /proc/net/tcp /proc/net/tcp6 2>/dev/null || break
    done
    echo "$port"
}

# tail of a log on one line, for an error message
log_end() { tail -n 3 "$1" 2>/dev/null | tr '\n' ' ' | cut -c1-600; }
