# shellcheck shell=bash
# Sourced by containers.sh, pods.sh, deb.sh and containers/engine.sh: that they begin alone, and end whole.

# Ends unless this is root on a Debian: root_on_debian SENTENCE
root_on_debian() {
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        echo "${0##*/}: $1" >&2
        exit 69
    fi
}

# Ends if another run of this checkout uses FOLDER. The lock is on descriptor 9, which what outlives this run
# must not get: alone FOLDER
alone() {
    mkdir -p "$1"
    exec 9>"$1/lock"
    if ! flock --nonblock 9; then
        echo "${0##*/}: another run is at work in this checkout; wait for it" >&2
        exit 69
    fi
}

# Runs COMMAND as a group of processes that gets each INT and TERM as TERM, and waits for its end. It does not
# get descriptor 9: in_group COMMAND [ARG …]
in_group() {
    local group status=0
    set -m
    setpriv --pdeathsig TERM "$@" 9>&- &
    group=$!
    set +m
    trap 'kill -TERM -- "-$group"' INT TERM
    # A signal ends the wait, but not what is waited for.
    while kill -0 "$group" 2>/dev/null; do
        status=0
        wait "$group" || status=$?
    done
    trap - INT TERM
    return "$status"
}

# Removes the cgroups whose paths begin with NAME, which are empty by now: remove_cgroups NAME
remove_cgroups() {
    local tries=0
    # The kernel takes a moment to forget what it has killed.
    until find /sys/fs/cgroup -depth -type d -path "*/$1*" -exec rmdir {} + 2>/dev/null; do
        if [ $((tries += 1)) -gt 50 ]; then break; fi
        sleep 0.1
    done
}
