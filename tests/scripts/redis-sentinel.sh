#!/usr/bin/env bash
# Runs a private Redis Sentinel in the foreground: redis-sentinel.sh CONFIG
#
# It rewrites CONFIG as it learns. The process becomes the Sentinel itself, so its pid is the one to stop.
# HOOKSWITCH_SERVICES_REDIS=valkey: Valkey's instead.
set -euo pipefail

if [ $# -ne 1 ]; then
    echo "usage: redis-sentinel.sh CONFIG" >&2
    exit 64
fi
exec "${HOOKSWITCH_SERVICES_REDIS:-redis}-server" "$1" --sentinel
