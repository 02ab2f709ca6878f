#!/usr/bin/env bash
# Makes from Debian's packages what stands in for Docker and for an image registry, in FOLDER, once:
# roots.sh FOLDER
#
#   tools         Docker, Compose, Buildx and podman of Debian 13, unpacked and not installed
#   services.tar  RabbitMQ, Redis and Prometheus of Debian testing, whose RabbitMQ is no older than our floor
#   debian.tar    the least of Debian 12, on which the image of hookswitch is built
set -euo pipefail
cd "$(dirname "$0")/../../.."
folder=$1
mkdir -p "$folder"
deploy/local/install.sh iproute2
# shellcheck source=tests/scripts/debian.sh
. tests/scripts/debian.sh

root() { # NAME SUITE VARIANT PACKAGES [OPTION …]
    local name=$1 suite=$2 made_of="$2 $3 $4" new
    [ "$(cat "$folder/$name.made-of" 2>/dev/null)" != "$made_of" ] || return 0
    echo "==> making $name from Debian's packages (once)"
    new=$folder/new-$name
    rm -rf "$new" "${folder:?}/$name"
    debian "$suite" "$3" "$4" "$new" --quiet "${@:5}"
    mv "$new" "$folder/$name"
    echo "$made_of" >"$folder/$name.made-of"
}
root tools trixie extract \
    docker.io,docker-cli,docker-compose,docker-buildx,podman,netavark,aardvark-dns,conmon,catatonit,iptables,\
nftables,iproute2,passt,python3 \
    --include='?essential'
root services.tar forky minbase rabbitmq-server,redis-server,prometheus
root debian.tar bookworm minbase apt
