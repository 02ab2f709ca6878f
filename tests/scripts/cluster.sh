#!/usr/bin/env bash
# `make cluster`: runs tests/cluster, against the RabbitMQ and Redis of another Debian if one is named:
# cluster.sh [SUITE]. The broker to move away from is then that of Debian 13.
set -euo pipefail
cd "$(dirname "$0")/../.."

if [ -n "${1:-}" ]; then
    HOOKSWITCH_SERVICES_ROOT=$(tests/scripts/make-services-root.sh "$1")
    HOOKSWITCH_OLD_SERVICES_ROOT=$(tests/scripts/make-services-root.sh trixie)
    export HOOKSWITCH_SERVICES_ROOT HOOKSWITCH_OLD_SERVICES_ROOT
fi
cargo test --locked --test cluster -- --include-ignored --test-threads=1 --nocapture
