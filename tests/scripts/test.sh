#!/usr/bin/env bash
# `make test` runs everything. `make check` runs all but the tests, except tests/house: test.sh quick.
set -euo pipefail
cd "$(dirname "$0")/../.."
say() { printf '\033[1m==> %s\033[0m\n' "$*"; }

[ "${1:-}" = quick ] || deploy/local/install.sh
say "format"
cargo fmt --check
say "layout, layers and wording of the code (tests/house)"
cargo test --locked --quiet --test house
say "lints"
cargo clippy --all-targets --locked --quiet -- -D warnings
cargo clippy --all-targets --features faults --locked --quiet -- -D warnings
say "format and lock file of the fuzz targets, which \`make fuzz\` builds and runs"
cargo fmt --check --manifest-path tests/fuzz/Cargo.toml
# If it says that the lock file is out of date: the same command without --locked.
cargo metadata --locked --format-version 1 --manifest-path tests/fuzz/Cargo.toml >/dev/null
say "docs"
RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --locked --quiet
say "unused dependencies"
tests/scripts/unused-dependencies.sh
if command -v cargo-deny >/dev/null; then
    say "licences and sources (for advisories, which need the network: cargo deny check advisories)"
    cargo deny check bans licenses sources
else
    say "licences and sources: NOT CHECKED, because cargo-deny is missing (cargo install --locked cargo-deny)"
fi
say "deployment files and scripts"
tests/scripts/check-deployment.sh
[ "${1:-}" = quick ] && exit 0
say "tests, against a private RabbitMQ and Redis that they start themselves"
# Most of them wait most of the time.
RUST_TEST_THREADS=$((2 * $(nproc))) cargo test --locked
say "the contract: events under validators and SDKs that are not ours"
tests/scripts/contract.sh 5000
say "the consumers of examples/ against a private broker, and the types for consumers"
tests/scripts/examples.sh
say "mutants: each known mistake must be noticed by a test"
tests/scripts/mutants.sh
say "every fault once under load, with every webhook accounted for"
deploy/local/install.sh faketime
# A debug build on two cores keeps up with this rate, and every row ends sooner if nothing piles up.
cargo test --locked --features faults --test faults -- --rate 100
say "docker-compose.yml, with the program that the tests have built"
# Last, since it takes most of the machine: whatever else is wrong is known by then.
timeout --kill-after=60 1500 tests/scripts/containers.sh --ci
