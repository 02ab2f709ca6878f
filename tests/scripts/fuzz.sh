#!/usr/bin/env bash
# `make fuzz`: fuzz.sh SECONDS [TARGET [INPUT]]
#
# Feeds each target of tests/fuzz for so many seconds with inputs that libFuzzer makes of those that reached
# new code before, or one target with one input. The inputs that reach new code stay in .run/fuzz/corpus for
# the next run. Fails if a target does; the input is in .run/fuzz/found.
set -euo pipefail
cd "$(dirname "$0")/../.."
say() { printf '\033[1m==> %s\033[0m\n' "$*"; }

seconds=$1
read -ra targets <<<"${2:-read_bundle write_bundle message normalize}"
input=${3:+$(realpath "$3")}
run=$PWD/.run/fuzz
# They would replace those of tests/fuzz/.cargo/config.toml, and nothing would be covered.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_TARGET CARGO_TARGET_DIR

# cargo looks for its configuration where it is started.
target() { # TARGET ARGUMENT…
    (cd tests/fuzz && exec cargo run --quiet --release --locked --bin "$1" -- "${@:2}")
}

# Writes the inputs that a target begins with: those of tests/fuzz, golden cases and samples.
seed() { # TARGET FOLDER
    rm -rf "$2"
    mkdir -p "$2"
    [ ! -d "tests/fuzz/seeds/$1" ] || cp "tests/fuzz/seeds/$1"/* "$2"
    [ "$1" = normalize ] || return 0
    local body headers
    for body in tests/golden/*/*/body.json src/samples/*/*.json; do
        headers=${body%.json}.headers
        [ "${body##*/}" != body.json ] || headers=${body%/*}/headers.txt
        { cat "$headers" 2>/dev/null || true; echo; cat "$body"; } >"$2/${body//\//-}"
    done
}

say "building the targets with coverage"
(cd tests/fuzz && cargo build --release --locked)

if [ -n "$input" ]; then
    target "${targets[0]}" "$input"
    exit
fi

failed=0
trap 'exit 130' INT
for name in "${targets[@]}"; do
    say "$name, for $seconds seconds"
    corpus=$run/corpus/$name seeds=$run/seeds/$name found=$run/found/$name
    mkdir -p "$corpus" "$found"
    seed "$name" "$seeds"
    # Without the lines about each new input, of which there are thousands, about sanitizers that are not
    # there, and the words for a dictionary.
    if ! target "$name" -max_total_time="$seconds" -timeout=10 -print_final_stats=1 -print_funcs=0 \
        -artifact_prefix="$found/" "$corpus" "$seeds" 2>&1 |
        grep --line-buffered -vE '^(#[0-9]+\s+(NEW|REDUCE)|WARNING: Failed to find|"|#####)'; then
        failed=1
        say "$name FAILED. Run the input again: make fuzz TARGET=$name INPUT=FILE, with the file named above"
    fi
done
exit "$failed"
