#!/usr/bin/env bash
# `make test-rabbitmq-4`: runs tests/it against the RabbitMQ, Redis and Valkey of another Debian:
# test-services.sh [SUITE]
set -euo pipefail
cd "$(dirname "$0")/../.."
say() { printf '\033[1m==> %s\033[0m\n' "$*"; }

suite=${1:-trixie}
HOOKSWITCH_SERVICES_ROOT=$(tests/scripts/make-services-root.sh "$suite")
export HOOKSWITCH_SERVICES_ROOT HOOKSWITCH_EXPECT_RABBITMQ=4. HOOKSWITCH_EXPECT_REDIS="redis 8."
say "building the tests"
cargo test --locked --test it --no-run
say "checking that the services are those of Debian $suite"
cargo test --locked --quiet --test it -- --nocapture of_versions
say "running all tests of tests/it"
cargo test --locked --test it
say "running the tests that depend most on the store, with Valkey"
export HOOKSWITCH_SERVICES_REDIS=valkey HOOKSWITCH_EXPECT_REDIS="valkey "
cargo test --locked --test it -- of_versions redis services same copies claimed crash_between
