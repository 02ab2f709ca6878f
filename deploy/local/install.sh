#!/usr/bin/env bash
# Installs what is missing from Debian's packages, without starting the system's own services: install.sh [PACKAGE …]
#
# Without arguments: RabbitMQ, Redis, and what Rust needs to build. Does nothing when all is there.
set -euo pipefail

# Whether what PACKAGE brings is here, from wherever it came.
is_here() {
    case $1 in
    rabbitmq-server) [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] && command -v epmd ;;
    redis-server) command -v redis-server && command -v redis-cli ;;
    gcc) command -v cc ;;
    libc6-dev) [ -e /usr/include/stdio.h ] ;;
    python3-venv) python3 -c 'import ensurepip, venv' ;;
    kubernetes-client) command -v kubectl ;;
    iproute2) command -v ip ;;
    # Without it there may be a script of that name, which looks for it.
    linux-perf) perf --version ;;
    nodejs) command -v node ;;
    *) command -v "$1" ;;
    esac >/dev/null 2>&1
}

[ $# -gt 0 ] || set -- rabbitmq-server redis-server gcc libc6-dev make curl
missing=()
for package in "$@"; do
    is_here "$package" || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

advice="Install what brings it"
case " ${missing[*]} " in
*" rabbitmq-server "* | *" redis-server "*)
    advice+=", or set HOOKSWITCH_AMQP_URL and HOOKSWITCH_REDIS_URL to services that already run" ;;
esac
if ! command -v apt-get >/dev/null; then
    echo "missing: ${missing[*]} (Debian's names), and there is no apt-get. $advice." >&2
    exit 69
fi
sudo=()
if [ "$(id -u)" -ne 0 ]; then
    if ! sudo -n true 2>/dev/null; then
        echo "missing: ${missing[*]}, and installing needs root. Run: sudo apt-get install --no-install-recommends ${missing[*]}  ($advice.)" >&2
        exit 69
    fi
    sudo=(sudo -n)
fi

echo "==> installing ${missing[*]}"
# Debian starts a service when it installs it, unless policy-rc.d says no. One that is there already is left to decide.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap '"${sudo[@]}" rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee "$policy" >/dev/null
    "${sudo[@]}" chmod +x "$policy"
fi
log=$(mktemp)
if ! "${sudo[@]}" apt-get update -qq >"$log" 2>&1 ||
    ! "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >>"$log" 2>&1; then
    tail -20 "$log" >&2
    rm -f "$log"
    echo "apt-get could not install ${missing[*]}; what it said is above. $advice." >&2
    exit 69
fi
rm -f "$log"
