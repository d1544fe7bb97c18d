# shellcheck shell=bash
# What every script here shares: where things are, how they speak, how they wait.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=$ROOT/.cache

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

# A process is ours only if the pid in the file still runs the program we started.
# running PIDFILE PROGRAM
running() {
    local pid
    pid=$(cat "$1" 2>/dev/null) && [ -n "$pid" ] &&
        [ "$(readlink "/proc/$pid/exe" 2>/dev/null | sed 's/ (deleted)$//')" = "$(readlink -f "$2")" ]
}

# stop PIDFILE PROGRAM [SECONDS]: TERM, then KILL at the deadline; the file goes too.
stop() {
    if running "$1" "$2"; then
        local pid
        pid=$(cat "$1")
        kill "$pid" 2>/dev/null || true
        wait_for "${3:-15}" gone "$pid" || kill -KILL "$pid" 2>/dev/null || true
        wait_for 5 gone "$pid" || die "process $pid ($2) does not end"
    fi
    rm -f "$1"
}

# True also for a zombie: nothing is left of it but an entry for its parent.
gone() { [ ! -e "/proc/$1" ] || grep -q '^State:[[:space:]]*Z' "/proc/$1/status"; }
