#!/usr/bin/env bash
# Makes from Debian's packages what stands in for Docker and for an image registry, in FOLDER, each once:
# roots.sh FOLDER NAME …
#
#   tools           Docker, Compose, Buildx and podman of Debian 13, unpacked and not installed
#   services.tar    RabbitMQ and Redis of Debian testing, whose RabbitMQ is no older than our floor
#   prometheus.tar  Prometheus of Debian testing
#   debian.tar      the least of Debian 12, on which the image of hookswitch is built
set -euo pipefail
cd "$(dirname "$0")/../../.."
folder=$1
shift
mkdir -p "$folder"
deploy/local/install.sh iproute2 mmdebstrap
# shellcheck source=tests/scripts/debian.sh
. tests/scripts/debian.sh

root() { # NAME SUITE VARIANT PACKAGES [OPTION …]
    local name=$1 made_of="$2 $3 $4" new=$folder/new-$1
    [ "$(cat "$folder/$name.made-of" 2>/dev/null)" != "$made_of" ] || return 0
    echo "==> making $name from Debian's packages (once)"
    rm -rf "$new" "${folder:?}/$name"
    # What is cut short is made anew, so nothing need reach the disk at once.
    debian "$2" "$3" "$4" "$new" --quiet --dpkgopt=force-unsafe-io "${@:5}"
    mv "$new" "$folder/$name"
    echo "$made_of" >"$folder/$name.made-of"
}
make_root() { # NAME
    case $1 in
    tools)
        root tools trixie extract \
            docker.io,docker-cli,docker-compose,docker-buildx,podman,netavark,aardvark-dns,conmon,catatonit,\
iptables,nftables,iproute2,passt,python3 \
            --include='?essential'
        ;;
    services.tar) root services.tar forky minbase rabbitmq-server,redis-server ;;
    prometheus.tar) root prometheus.tar forky minbase prometheus ;;
    debian.tar) root debian.tar bookworm minbase apt ;;
    esac
}

# At the same time: they wait for the network, for dpkg and for the disk in turn.
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
for name in "$@"; do
    make_root "$name" &
    pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid"; done
