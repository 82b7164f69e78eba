# Server processes: started detached, recognised by their command line before anything is done to them. Needs say.sh.

# Starts COMMAND in a session of its own that outlives the caller and holds none of its files. Sets LAUNCHED_PID.
# Usage: launch FOLDER LOG COMMAND...
launch() {
    local folder=$1 log=$2
    shift 2
    (
        cd "$folder" || exit 1
        ulimit -n "$(ulimit -Hn)" 2>/dev/null
        close_inherited
        exec setsid "$@"
    ) </dev/null >>"$log" 2>&1 &
    LAUNCHED_PID=$!
    disown "$LAUNCHED_PID" 2>/dev/null || true
}

# True if PID runs PROGRAM with MARKER among its arguments: a recycled pid never passes. Usage: is_process PID PROGRAM MARKER
is_process() {
    local pid=$1 program=$2 marker=$3 args=() arg
    [[ $pid =~ ^[0-9]+$ ]] || return 1
    { mapfile -d '' -t args <"/proc/$pid/cmdline"; } 2>/dev/null || return 1
    [ "${#args[@]}" -gt 1 ] && [ "${args[0]##*/}" = "$program" ] || return 1
    for arg in "${args[@]:1}"; do
        if [ "$arg" = "$marker" ]; then return 0; fi
    done
    return 1
}

# Prints the pid of the process that runs PROGRAM with MARKER, if there is one. Usage: find_process PROGRAM MARKER
find_process() {
    local folder
    for folder in /proc/[0-9]*; do
        if is_process "${folder#/proc/}" "$1" "$2"; then
            echo "${folder#/proc/}"
            return 0
        fi
    done
    return 1
}

# True when no process PID is left. One that ended but was not yet collected by its parent counts as gone, unless threads of
# it are still at work.
is_gone() {
    local line threads
    { read -r line <"/proc/$1/stat"; } 2>/dev/null || return 0
    threads=("/proc/$1/task/"*)
    [[ ${line##*) } == Z* && ${#threads[@]} -le 1 ]]
}

# Waits until PID is gone or SECONDS have passed. Usage: wait_gone LABEL PID LIMIT_S
wait_gone() {
    local label=$1 pid=$2 limit_ms=$(($3 * 1000)) began said
    read_clock
    began=$NOW_MS said=$NOW_MS
    until is_gone "$pid"; do
        read_clock
        [ $((NOW_MS - began)) -lt "$limit_ms" ] || return 1
        if [ $((NOW_MS - said)) -ge 3000 ]; then
            say "$label: stopping, $(((NOW_MS - began) / 1000)) s"
            said=$NOW_MS
        fi
        sleep 0.05
    done
}

# Prints the resident memory of PID in MiB. Usage: resident_mib PID
resident_mib() {
    local key value _
    { while read -r key value _; do
        if [ "$key" = VmRSS: ]; then echo $((value / 1024)); fi
    done <"/proc/$1/status"; } 2>/dev/null
}

# Prints how many seconds PID has been running. Usage: running_seconds PID
running_seconds() {
    local line fields hertz
    { read -r line <"/proc/$1/stat"; } 2>/dev/null || return 0
    read -r -a fields <<<"${line##*) }"
    hertz=$(getconf CLK_TCK)
    read_clock
    echo $((NOW_MS / 1000 - fields[19] / hertz))
}
