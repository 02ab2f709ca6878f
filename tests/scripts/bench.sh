#!/usr/bin/env bash
# Runs a benchmark of tests/bench, on the RabbitMQ and Redis of another Debian if SUITE is not empty:
# bench.sh SUITE COMMAND [ARG …]. The names of its results then end in SUITE.
set -euo pipefail
cd "$(dirname "$0")/../.."

if [ -n "$1" ]; then
    HOOKSWITCH_SERVICES_ROOT=$(tests/scripts/make-services-root.sh "$1")
    export HOOKSWITCH_SERVICES_ROOT
fi
exec cargo bench --quiet --locked --bench bench -- "${@:2}"
