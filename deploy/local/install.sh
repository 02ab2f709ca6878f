#!/usr/bin/env bash
# Installs RabbitMQ and Redis from Debian's packages if they are missing, without starting the system's own services.
set -euo pipefail

missing=()
[ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || missing+=(rabbitmq-server)
command -v redis-server >/dev/null || missing+=(redis-server)
for tool in curl python3 setpriv; do
    command -v "$tool" >/dev/null || missing+=("${tool/setpriv/util-linux}")
done
[ ${#missing[@]} -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null; then
    echo "missing: ${missing[*]}. Install them with your system's package manager, or set HOOKSWITCH_AMQP_URL and HOOKSWITCH_REDIS_URL to services that already run." >&2
    exit 69
fi
sudo=()
if [ "$(id -u)" -ne 0 ]; then
    if ! sudo -n true 2>/dev/null; then
        echo "missing: ${missing[*]}. Run: sudo apt-get install --no-install-recommends ${missing[*]}   (or set HOOKSWITCH_AMQP_URL and HOOKSWITCH_REDIS_URL to services that already run)" >&2
        exit 69
    fi
    sudo=(sudo)
fi

echo "==> installing ${missing[*]}"
# Debian starts a service when it installs it; policy-rc.d says no, and is put back as it was.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee "$policy" >/dev/null
    "${sudo[@]}" chmod +x "$policy"
    trap '"${sudo[@]}" rm -f "$policy"' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
"${sudo[@]}" apt-get update -qq
"${sudo[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
