# shellcheck shell=bash
# Sourced by up.sh and down.sh: paths, and how to recognize the processes that up.sh started.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
run=$root/.run
# shellcheck disable=SC2034 # used by who sources this
program=${CARGO_TARGET_DIR:-$root/target}/release/hookswitch
export HOOKSWITCH_CONFIG=$root/deploy/local/hookswitch.toml

say() { printf '\033[1m==> %s\033[0m\n' "$*"; }
fail() {
    echo "make: $*" >&2
    exit 69
}

# The kernel's start time of a process that is no zombie: with the pid it names the process for good.
started_at() { { sed 's/.*) //' "/proc/$1/stat" | awk '$1 !~ /[ZX]/ { print $20 }'; } 2>/dev/null; }

# Whether what we started as NAME still runs.
is_running() {
    local pid='' started=''
    [ -s "$run/$1.pid" ] || return 1
    read -r pid started <"$run/$1.pid" || true
    [ -n "$started" ] && [ "$(started_at "$pid")" = "$started" ]
}

# Starts COMMAND in the background as NAME, its output in .run/NAME.log.
start() {
    local name=$1
    shift
    # Without the lock on descriptor 9, which ends with us.
    setsid "$@" </dev/null >"$run/$name.log" 2>&1 9>&- &
    local pid=$!
    echo "$pid $(started_at "$pid")" >"$run/$name.pid"
}

# Stops what we started as NAME: asks, waits up to SECONDS, then ends it.
stop() {
    local name=$1 seconds=$2 pid
    is_running "$name" || { rm -f "$run/$name.pid"; return 0; }
    read -r pid _ <"$run/$name.pid"
    say "stopping $name (pid $pid)"
    kill "$pid" 2>/dev/null || true
    for _ in $(seq $((seconds * 10))); do
        is_running "$name" || break
        sleep 0.1
    done
    if is_running "$name"; then
        say "$name did not stop within $seconds s: ending it"
        kill -KILL "$pid" 2>/dev/null || true
    fi
    rm -f "$run/$name.pid"
}

# Waits until COMMAND works; NAME's log if it does not.
wait_for() {
    local name=$1
    shift
    for _ in $(seq 600); do
        "$@" >/dev/null 2>&1 && return 0
        is_running "$name" || break
        sleep 0.1
    done
    tail -20 "$run/$name.log" >&2
    fail "$name did not start; its log is .run/$name.log"
}

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# One `make up` or `make down` at a time.
lock() {
    mkdir -p "$run"
    exec 9>"$run/lock"
    flock -n 9 || fail "another make up or make down is at work; wait for it"
}
