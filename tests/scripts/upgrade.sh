#!/usr/bin/env bash
# `make upgrade`: upgrades an earlier state of hookswitch to this one under load: upgrade.sh [COMMIT]
set -euo pipefail
cd "$(dirname "$0")/../.."

# The state before the events had their present form: no version has been released yet.
commit=${1:-860ecfe}
source=$PWD/.run/previous/$commit
if [ ! -e "$source/Cargo.toml" ]; then
    mkdir -p "$source"
    git archive "$commit" | tar -x -C "$source"
fi
echo "==> building $commit in .run/previous"
cargo build --quiet --locked --manifest-path "$source/Cargo.toml"
HOOKSWITCH_OLD=$source/target/debug/hookswitch cargo test --locked --test upgrade -- --ignored --nocapture
