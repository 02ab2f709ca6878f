#!/usr/bin/env bash
# `make bench-micro`: time and throughput of each step of reading a webhook, then instructions per webhook as
# counted by callgrind.
set -euo pipefail
cd "$(dirname "$0")/../.."

deploy/local/install.sh valgrind
cargo bench --locked --bench micro -- "$@"

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
bench=$(cargo bench --locked --bench micro --no-run --message-format=json 2>/dev/null |
    sed -n 's/.*"name":"micro".*"executable":"\([^"]*\)".*/\1/p')

# callgrind writes one dump each time `measured` returns, in the order in which the benchmark prints its
# steps.
HOOKSWITCH_INSTRUCTIONS=1 valgrind --tool=callgrind --callgrind-out-file="$folder/out" \
    --collect-atstart=no --toggle-collect=micro::measured --dump-after=micro::measured \
    "$bench" >"$folder/measures" 2>"$folder/log" || { cat "$folder/log" >&2; exit 1; }

echo
echo 'Instructions per webhook. Valgrind lacks the SHA instructions, so hashes count as computed in software.'
n=0
while read -r step set webhooks; do
    n=$((n + 1))
    counted=$(sed -n 's/^totals: //p' "$folder/out.$n")
    echo "$step $set $((counted / webhooks))"
done <"$folder/measures" | awk '
    !($1 in row) { row[$1] = ++rows; steps[rows] = $1 }
    !($2 in column) { column[$2] = ++columns; head = head sprintf("%9s", $2) }
    { line[$1] = line[$1] sprintf("%9d", $3) }
    END {
        printf "%-18s%s\n", "", head
        for (n = 1; n <= rows; n++) printf "%-18s%s\n", steps[n], line[steps[n]]
    }'
