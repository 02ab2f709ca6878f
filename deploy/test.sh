#!/usr/bin/env bash
# `make test` (everything) and `make check` (`quick`: what needs no services).
set -euo pipefail
cd "$(dirname "$0")/.."
say() { printf '\033[1m==> %s\033[0m\n' "$*"; }

[ "${1:-}" = quick ] || deploy/local/install.sh
say "format"
cargo fmt --check
say "lints"
cargo clippy --all-targets --locked --quiet -- -D warnings
cargo clippy --all-targets --features faults --locked --quiet -- -D warnings
say "docs"
RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --locked --quiet
if command -v cargo-deny >/dev/null; then
    say "licences and sources (advisories need their database from the network: cargo deny check advisories)"
    cargo deny check bans licenses sources
else
    say "licences and sources: NOT CHECKED, since cargo-deny is not installed (cargo install --locked cargo-deny)"
fi
say "deployment files"
deploy/check.sh
[ "${1:-}" = quick ] && exit 0
say "tests, on private RabbitMQ and Redis that they start themselves"
cargo test --locked
say "known mistakes, built in one at a time: a test must notice each"
deploy/mutants.sh
say "every fault once under load, and every webhook accounted for"
deploy/local/install.sh faketime
cargo test --locked --features faults --test faults
