#!/usr/bin/env bash
# Runs SCRIPT with the programs of another Debian: in-services-root.sh SCRIPT [ARG …]
#
# HOOKSWITCH_SERVICES_ROOT names a folder made by make-services-root.sh. SCRIPT then runs in a mount namespace
# of its own where that folder's /usr replaces this machine's; everything else (ports, paths, pids) stays as
# it is. The namespace ends with the process, so nothing needs cleaning up. This process becomes SCRIPT, so
# its pid is the one to signal. Without the variable SCRIPT runs as it is.
set -euo pipefail
if [ $# -lt 1 ]; then
    echo "usage: in-services-root.sh SCRIPT [ARG …]" >&2
    exit 64
fi
root=${HOOKSWITCH_SERVICES_ROOT:-}
[ -n "$root" ] || exec "$@"
if [ ! -x "$root/usr/bin/bash" ]; then
    echo "HOOKSWITCH_SERVICES_ROOT=$root has no /usr of a Debian:" \
        "make one with tests/scripts/make-services-root.sh" >&2
    exit 69
fi
if [ "$(id -u)" -ne 0 ]; then
    echo "HOOKSWITCH_SERVICES_ROOT needs root, because it mounts: run as root, or unset it" >&2
    exit 69
fi
# shellcheck disable=SC2016 # the inner shell expands it
exec env -u HOOKSWITCH_SERVICES_ROOT unshare --mount \
    sh -c 'mount --bind "$0/usr" /usr && exec "$@"' "$root" "$@"
