#!/usr/bin/env bash
# Fails if a dependency in Cargo.toml is never named in the code. Installs cargo-machete into .run/tools once:
# about a minute on two cores. An unoptimized build is the quickest way there, and reads this code in six
# seconds.
set -euo pipefail
cd "$(dirname "$0")/../.."

machete=$PWD/.run/tools/cargo-machete-0.9.2
if [ ! -x "$machete/bin/cargo-machete" ]; then
    CARGO_PROFILE_DEV_DEBUG=0 cargo install --quiet --locked --debug --root "$machete" cargo-machete@0.9.2
fi
"$machete/bin/cargo-machete" .
