#!/usr/bin/env bash
# `make bench-flame`: flame graphs of a worker and a receiver under load, in docs/bench. Stack traces need
# frame pointers, so everything is built once more with them, in a target folder of its own.
set -euo pipefail
cd "$(dirname "$0")/../.."

deploy/local/install.sh rabbitmq-server redis-server linux-perf
if ! perf record --quiet -e cpu-clock --output /dev/null true; then
    echo 'perf has no permission to sample processes:' \
        'run this as root, or set sysctl kernel.perf_event_paranoid=1' >&2
    exit 77
fi
inferno=$PWD/.run/inferno-0.12.8
[ -x "$inferno/bin/inferno-flamegraph" ] || cargo install --quiet --locked --root "$inferno" inferno@0.12.8

export PATH=$inferno/bin:$PATH CARGO_TARGET_DIR=$PWD/.run/flame-target
export RUSTFLAGS="${RUSTFLAGS:-} -C force-frame-pointers=yes"
cargo bench --quiet --locked --bench bench -- flame "$@"
