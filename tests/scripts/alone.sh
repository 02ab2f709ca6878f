# shellcheck shell=bash
# Sourced by containers.sh, pods.sh and deb.sh: what they need before they begin.

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
