#!/usr/bin/env bash
# `make test-rabbitmq-4`: tests/it against RabbitMQ, Redis and Valkey of another Debian: test-services.sh [SUITE]
set -euo pipefail
cd "$(dirname "$0")/.."
say() { printf '\033[1m==> %s\033[0m\n' "$*"; }

suite=${1:-trixie}
HOOKSWITCH_SERVICES_ROOT=$(deploy/local/make-services-root.sh "$suite")
export HOOKSWITCH_SERVICES_ROOT HOOKSWITCH_EXPECT_RABBITMQ=4. HOOKSWITCH_EXPECT_REDIS="redis 8."
say "building the tests"
cargo test --locked --test it --no-run
say "the versions of Debian $suite"
cargo test --locked --quiet --test it -- --nocapture of_versions
say "all tests"
cargo test --locked --test it
say "the tests that say most about the store, with Valkey"
export HOOKSWITCH_REDIS=valkey HOOKSWITCH_EXPECT_REDIS="valkey "
cargo test --locked --test it -- of_versions redis services same copies claimed crash_between
