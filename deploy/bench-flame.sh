#!/usr/bin/env bash
# Flame graphs of a worker and a receiver under load, into docs/bench. Stacks need frame pointers, so all is built for it.
set -euo pipefail
cd "$(dirname "$0")/.."

deploy/local/install.sh rabbitmq-server redis-server linux-perf
if ! perf record --quiet -e cpu-clock --output /dev/null true; then
    echo 'perf may not look at processes here: run this as root, or sysctl kernel.perf_event_paranoid=1' >&2
    exit 77
fi
inferno=$PWD/.run/inferno-0.12.8
[ -x "$inferno/bin/inferno-flamegraph" ] || cargo install --quiet --locked --root "$inferno" inferno@0.12.8

export PATH=$inferno/bin:$PATH CARGO_TARGET_DIR=$PWD/.run/flame-target
export RUSTFLAGS="${RUSTFLAGS:-} -C force-frame-pointers=yes"
cargo bench --quiet --locked --bench bench -- flame "$@"
