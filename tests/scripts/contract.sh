#!/usr/bin/env bash
# Validates golden and generated events with validators that are not ours: contract.sh [EVENTS]
#
# EVENTS are generated, 100,000 by default. The validators come from the registries, into .run/contract.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/scripts/tools.sh
. tests/scripts/tools.sh
count=${1:-100000}
tools=.run/contract
program=${CARGO_TARGET_DIR:-target}/debug/hookswitch

deploy/local/install.sh nodejs npm python3-venv
mkdir -p "$tools"
node_tools "$tools" tests/contract/node
python_tools "$tools" tests/contract/python/requirements.txt

HOOKSWITCH_EVENTS=$count HOOKSWITCH_EVENTS_FILE=$PWD/$tools/events.ndjson \
    cargo test --locked --quiet --test contract -- --ignored --nocapture write_events_to_a_file
cp tests/contract/node/validate.mjs "$tools/"
node "$tools/validate.mjs" schemas "$tools/events.ndjson" "$program"
"$tools/venv/bin/python" tests/contract/python/validate.py schemas "$tools/events.ndjson" "$program"
rm "$tools/events.ndjson"
