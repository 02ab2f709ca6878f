#!/usr/bin/env bash
# Runs a private Redis in the foreground: redis-server.sh DIR PORT [OPTION …]
#
# It listens on 127.0.0.1 only, keeps an append-only file in DIR and never evicts a key. The process becomes the
# server itself, so its pid is the one to stop, freeze or kill.
set -euo pipefail

if [ $# -lt 2 ]; then
    echo "usage: redis-server.sh DIR PORT [OPTION …]" >&2
    exit 64
fi
if ! command -v redis-server >/dev/null; then
    echo "Redis is not installed: run deploy/local/install.sh, or apt-get install redis-server" >&2
    exit 69
fi
mkdir -p "$1"
dir=$(cd "$1" && pwd)
port=$2
shift 2
exec redis-server --bind 127.0.0.1 --port "$port" --dir "$dir" --save '' --appendonly yes --appendfsync everysec \
    --maxmemory-policy noeviction --daemonize no "$@"
