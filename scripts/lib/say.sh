# Output and waiting shared by the scripts. Everything for people goes to stderr, so that stdout carries answers alone.

say() { printf '%s\n' "$*" >&2; }

die() {
    say "error: $*"
    exit 1
}

# Runs a command with its output in LOG, saying every five seconds that it is still at work.
# Shows the end of LOG when the command fails. Usage: with_progress LABEL LOG COMMAND...
with_progress() {
    local label=$1 log=$2 began=$SECONDS ticker status=0
    shift 2
    say "$label ..."
    (
        trap - EXIT INT TERM
        close_inherited
        while sleep 5 >/dev/null 2>&1; do say "$label ... $((SECONDS - began)) s"; done
    ) </dev/null >/dev/null &
    ticker=$!
    # shellcheck disable=SC2064  # the ticker of this call, not of a later one
    trap "kill $ticker 2>/dev/null || true" EXIT
    "$@" >"$log" 2>&1 </dev/null || status=$?
    kill "$ticker" 2>/dev/null || true
    wait "$ticker" 2>/dev/null || true
    trap - EXIT
    if [ "$status" -ne 0 ]; then
        tail -n 15 "$log" | sed 's/^/    /' >&2
        return "$status"
    fi
}

# Closes what this shell inherited beside standard input, output and error: a lock lives as long as any copy of its file.
close_inherited() {
    local fd
    for fd in "/proc/$BASHPID/fd/"*; do
        fd=${fd##*/}
        if [ "$fd" -gt 2 ]; then eval "exec $fd>&-"; fi
    done
}

# Takes the lock FILE until this process and what it started have ended: an interrupted run's children keep it, so that
# nobody works on their half-made folders. Says MESSAGE if it has to wait. Usage: take_lock FILE MESSAGE
take_lock() {
    local fd
    mkdir -p "$(dirname "$1")"
    exec {fd}>>"$1"
    flock -n "$fd" && return
    say "$2"
    flock "$fd"
}

# Sets NOW_MS to the time since boot in milliseconds, without starting a process.
read_clock() {
    local uptime _
    read -r uptime _ </proc/uptime
    NOW_MS=$((10#${uptime//./} * 10))
}
