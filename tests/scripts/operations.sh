#!/usr/bin/env bash
# `make operations`: runs the commands of docs/operations.md, section "One machine", as they stand there, and
# checks what they print. Everything is in a folder and on ports of its own, and is gone afterwards.
set -euo pipefail
cd "$(dirname "$0")/../.."

folder=.run/operations
rm -rf "$folder" && mkdir -p "$folder"
stop() { # What the commands started and a failure left running.
    for pid in "$folder"/*.pid; do
        if [ -s "$pid" ]; then kill "$(cat "$pid")" 2>/dev/null || true; fi
    done
}
trap stop EXIT

# Not in the folder, which the last command removes.
commands=$(mktemp) printed=$(mktemp)
{
    echo 'set -euo pipefail'
    awk '/^## / { inside = /One machine/ }
        inside && /^```$/ { code = 0 }
        inside && code
        inside && /^```sh$/ { code = 1 }' docs/operations.md
} >"$commands"
[ "$(grep -c . "$commands")" -gt 40 ] || { echo 'docs/operations.md has lost its commands' >&2; exit 1; }

timeout 1500 bash "$commands" 2>&1 | tee "$printed"

expect() { # PATTERN MEANING
    grep -qE "$1" "$printed" || { echo "operations.sh: not seen: $2" >&2; exit 1; }
}
expect '^401$' 'a webhook without a signature is refused'
expect ' accepted, 0 not' 'all samples are accepted'
expect 'in the system 0' 'the ledger balances'
expect '^events\.all[[:space:]]+[1-9]' 'events wait for a consumer'
expect '^raw\.varda[[:space:]]+0$' 'no webhook waits'
rm -f "$commands" "$printed"
echo 'docs/operations.md does what it says'
