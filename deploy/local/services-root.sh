# shellcheck shell=bash
# Sourced first by what runs a service or a tool of it. HOOKSWITCH_SERVICES_ROOT names a folder that
# make-services-root.sh has made, with the programs of another Debian: the script then starts anew with that folder's
# /usr in place of this machine's, and all else as it is. Only this process sees that, so that there is nothing to
# clean up, and it keeps its pid.
if [ -n "${HOOKSWITCH_SERVICES_ROOT:-}" ]; then
    if [ ! -x "$HOOKSWITCH_SERVICES_ROOT/usr/bin/bash" ]; then
        echo "HOOKSWITCH_SERVICES_ROOT=$HOOKSWITCH_SERVICES_ROOT has no /usr of a Debian: make one with deploy/local/make-services-root.sh" >&2
        exit 69
    fi
    if [ "$(id -u)" -ne 0 ]; then
        echo "only root can use HOOKSWITCH_SERVICES_ROOT, since it mounts" >&2
        exit 69
    fi
    # shellcheck disable=SC2016 # the inner shell expands it
    exec env -u HOOKSWITCH_SERVICES_ROOT unshare --mount \
        sh -c 'mount --bind "$0/usr" /usr && exec bash "$@"' "$HOOKSWITCH_SERVICES_ROOT" "$0" "$@"
fi
