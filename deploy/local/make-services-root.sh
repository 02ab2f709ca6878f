#!/usr/bin/env bash
# Makes a folder with RabbitMQ, Redis and Valkey of another Debian, and prints its name: make-services-root.sh SUITE
#
# HOOKSWITCH_SERVICES_ROOT=FOLDER makes the scripts here run these instead of the machine's own. The packages are
# unpacked into .run/SUITE, not installed, so no service starts; a folder that is there already is used again. They
# come from the mirror that apt uses here, with its settings.
set -euo pipefail
if [ $# -ne 1 ]; then
    echo "usage: make-services-root.sh SUITE   (trixie: RabbitMQ 4.0, forky: newer)" >&2
    exit 64
fi
# shellcheck source=deploy/local/lib.sh
. "$(dirname "$0")/lib.sh"
suite=$1
folder=$run/$suite
packages=rabbitmq-server,redis-server,valkey-server

mkdir -p "$run"
exec 9>"$run/$suite.lock"
flock 9
if [ "$(cat "$folder/made-of" 2>/dev/null)" != "$packages" ]; then
    "$root/deploy/local/install.sh" mmdebstrap >&2
    # shellcheck disable=SC2016 # apt-get expands it
    mirror=$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' | awk '$1 == "Debian" { print $2; exit }')
    say "unpacking $packages of Debian $suite into .run/$suite" >&2
    rm -rf "$folder" "$folder.new"
    mmdebstrap --variant=extract --include='?essential' --include="$packages" \
        --aptopt=<(apt-config dump | grep '^Acquire::') "$suite" "$folder.new" "${mirror:-http://deb.debian.org/debian}" >&2
    echo "$packages" >"$folder.new/made-of"
    mv "$folder.new" "$folder"
fi
echo "$folder"
