#!/usr/bin/env bash
# Unpacks RabbitMQ, Redis and Valkey of another Debian into a folder, and prints its path:
# make-services-root.sh SUITE
#
# With HOOKSWITCH_SERVICES_ROOT=FOLDER, in-services-root.sh runs these instead of the machine's own. The
# packages are unpacked into .run/SUITE, not installed, so no service starts. An existing folder is used
# again. The packages come from the mirror that apt uses on this machine, with apt's settings.
set -euo pipefail
if [ $# -ne 1 ]; then
    echo "usage: make-services-root.sh SUITE   (trixie: RabbitMQ 4.0, forky: newer)" >&2
    exit 64
fi
cd "$(dirname "$0")/../.."
run=$PWD/.run
suite=$1
folder=$run/$suite
packages=rabbitmq-server,redis-server,valkey-server

mkdir -p "$run"
exec 9>"$run/$suite.lock"
flock 9
if [ "$(cat "$folder/made-of" 2>/dev/null)" != "$packages" ]; then
    # shellcheck source=tests/scripts/debian.sh
    . tests/scripts/debian.sh
    echo "==> unpacking $packages of Debian $suite into .run/$suite" >&2
    rm -rf "$folder" "$folder.new"
    debian "$suite" extract "$packages" "$folder.new" --include='?essential' >&2
    echo "$packages" >"$folder.new/made-of"
    mv "$folder.new" "$folder"
fi
echo "$folder"
