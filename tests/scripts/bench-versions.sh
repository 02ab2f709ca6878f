#!/usr/bin/env bash
# `make bench-versions`: the whole chain on this machine's RabbitMQ, on Debian 13's and on a newer one, each
# as a single node and as a cluster of three: bench-versions.sh [ARG of `chain` …]
#
# Each has two runs, there and back, so that the hour and the order count alike for all of them.
set -euo pipefail
cd "$(dirname "$0")/../.."

[ $# -gt 0 ] || set -- --pairs 2
results=.run/bench-versions
rm -rf "$results"
run() { # FOLDER SUITE [ARG …]
    # The same rate for all, since latencies are compared too.
    tests/scripts/bench.sh "$2" chain --beside lean --rate 1000 --out "$results/$1" "${@:3}"
}
for nodes in "" --cluster; do
    for suite in "" trixie forky; do run there "$suite" ${nodes:+"$nodes"} "$@"; done
    for suite in forky trixie ""; do run back "$suite" ${nodes:+"$nodes"} "$@"; done
done
tests/scripts/bench.sh "" versions "$results"/*/*.json
