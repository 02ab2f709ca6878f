# shellcheck shell=bash
# Sourced by deployment.sh and pods.sh, which define `fail`: how they say and check things.
# shellcheck disable=SC2154 # scripts is set by who sources this
client() { python3 "$scripts/client.py" "$@"; }
say() { printf '\033[1m==> %s %s\033[0m\n' "$(date +%T)" "$*"; }
expect() { # WHAT EXPECTED FOUND
    [ "$2" = "$3" ] || fail "$1: expected '$2', found '$3'"
    echo "    $1: $3"
}
