#!/usr/bin/env bash
# `make mutants`: builds known mistakes in, one at a time, and expects a test to notice each of them. A test
# that cannot fail proves nothing. HOOKSWITCH_MUTANT names the mistake: those of the simulation are in
# tests/simulation/mutant.rs, those of the program in src/faults.rs.
set -euo pipefail
cd "$(dirname "$0")/../.."

log=$(mktemp)
trap 'rm -f "$log"' EXIT
export HOOKSWITCH_SIMULATIONS=20000

passes() { # TEST-TARGET [TEST]
    timeout 300 cargo test --locked --quiet --features faults --test "$@" >"$log" 2>&1
}

missed=0
expect_caught() { # MUTANT TEST-TARGET [TEST]
    local mutant=$1
    shift
    if HOOKSWITCH_MUTANT=$mutant passes "$@"; then
        printf '%-22s NOT noticed by %s\n' "$mutant" "$*"
        missed=1
    elif grep -q 'unknown mutant' "$log"; then
        printf '%-22s does not exist in the program\n' "$mutant"
        missed=1
    else
        # The last list of failures: names, indented.
        local tests
        tests=$(awk '
            /^failures:/ { names = "" }
            /^    [a-z_:0-9]+$/ { names = names "\n    " $1 }
            END { print names }' "$log")
        printf '%-22s noticed by %s:%b\n' "$mutant" "$1" "$tests"
    fi
}

# Every test passes without a mutant, so that a failure below is due to its mutant.
replay=dead_letters::a_replay_that_is_not_confirmed
for target in simulation frames "it $replay"; do
    # shellcheck disable=SC2086
    passes $target || { cat "$log"; exit 1; }
done

expect_caught ack_before_publish simulation
expect_caught done_before_publish simulation
expect_caught busy_is_duplicate simulation
expect_caught ack_before_retry simulation
expect_caught ack_bundle_early simulation
expect_caught no_confirm frames
expect_caught shared_channel frames
expect_caught trust_returned frames
expect_caught ack_bundle_early frames
expect_caught remove_before_replay it "$replay"
exit "$missed"
