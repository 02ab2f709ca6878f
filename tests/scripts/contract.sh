#!/usr/bin/env bash
# Validates golden and generated events with validators that are not ours: contract.sh [EVENTS]
#
# EVENTS are generated, 100,000 by default. The validators come from the registries, into .run/contract.
set -euo pipefail
cd "$(dirname "$0")/../.."
count=${1:-100000}
tools=.run/contract
program=${CARGO_TARGET_DIR:-target}/debug/hookswitch

deploy/local/install.sh nodejs npm python3-venv
mkdir -p "$tools"
# Nothing is installed again as long as what is wanted is the same.
if ! cmp -s tests/contract/node/package-lock.json "$tools/installed-package-lock.json"; then
    cp tests/contract/node/package.json tests/contract/node/package-lock.json "$tools/"
    npm ci --prefix "$tools" --no-audit --no-fund --ignore-scripts --silent
    cp tests/contract/node/package-lock.json "$tools/installed-package-lock.json"
fi
if ! cmp -s tests/contract/python/requirements.txt "$tools/installed-requirements.txt"; then
    python3 -m venv "$tools/venv"
    "$tools/venv/bin/pip" install --quiet --disable-pip-version-check \
        -r tests/contract/python/requirements.txt
    cp tests/contract/python/requirements.txt "$tools/installed-requirements.txt"
fi

HOOKSWITCH_EVENTS=$count HOOKSWITCH_EVENTS_FILE=$PWD/$tools/events.ndjson \
    cargo test --locked --quiet --test contract -- --ignored --nocapture write_events_to_a_file
cp tests/contract/node/validate.mjs "$tools/"
node "$tools/validate.mjs" schemas "$tools/events.ndjson" "$program"
"$tools/venv/bin/python" tests/contract/python/validate.py schemas "$tools/events.ndjson" "$program"
rm "$tools/events.ndjson"
