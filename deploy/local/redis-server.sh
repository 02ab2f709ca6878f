#!/usr/bin/env bash
# Runs a private Redis in the foreground: redis-server.sh DIR PORT [OPTION …]
#
# It listens on 127.0.0.1 only, keeps an append-only file in DIR and never evicts a key. The process becomes the
# server itself, so its pid is the one to stop, freeze or kill. HOOKSWITCH_SERVICES_REDIS=valkey: Valkey instead.
set -euo pipefail

if [ $# -lt 2 ]; then
    echo "usage: redis-server.sh DIR PORT [OPTION …]" >&2
    exit 64
fi
server=${HOOKSWITCH_SERVICES_REDIS:-redis}-server
if ! command -v "$server" >/dev/null; then
    echo "$server is not installed: run deploy/local/install.sh, or apt-get install $server" >&2
    exit 69
fi
mkdir -p "$1"
dir=$(cd "$1" && pwd)
port=$2
shift 2
exec "$server" --bind 127.0.0.1 --port "$port" --dir "$dir" --save '' --appendonly yes --appendfsync everysec \
    --maxmemory-policy noeviction --daemonize no "$@"
