#!/usr/bin/env bash
# `make containers`: builds the image, runs docker-compose.yml unchanged, and checks what it promises:
# containers.sh [--quick | --ci]
#
# --quick takes target/release/hookswitch instead of compiling in the image's build stage. --ci, the form of
# `make test`, takes target/debug/hookswitch, which `cargo test` has built, so it compiles nothing. It does
# not judge the image's size, and leaves out the profile `monitoring`. Only what Debian 12 has built is sure
# to run in the image, which is based on it: on other systems --ci compiles in the image.
#
# Everything happens in a copy of the repository with passwords of its own. The machine's Docker is used if it
# can pull the images. Otherwise a private one runs (containers/engine.sh), with stand-ins for the images that
# are made from Debian's packages; that takes root on a Debian. What is slow to make stays in .run/containers.
set -euo pipefail
cd "$(dirname "$0")/../.."
say() { printf '\033[1m==> %s %s\033[0m\n' "$(date +%T)" "$*"; }
root=$PWD
folder=$root/.run/containers
scripts=$root/tests/scripts/containers

# Where the program comes from: compiled in the image, or from a folder of target.
program=image monitoring=true
case "${1:-}" in
'') ;;
--quick) program=release ;;
--ci)
    monitoring=false
    # shellcheck source=/dev/null
    if [ "$(. /etc/os-release && echo "$ID ${VERSION_ID:-}")" = "debian 12" ]; then program=debug; fi
    ;;
*)
    echo "usage: containers.sh [--quick | --ci]" >&2
    exit 64
    ;;
esac
export HOOKSWITCH_PROGRAM=$program HOOKSWITCH_MONITORING=$monitoring HOOKSWITCH_REVISION
HOOKSWITCH_REVISION=$(git rev-parse HEAD)

# shellcheck source=tests/scripts/alone.sh
. tests/scripts/alone.sh
alone "$folder"

# The copy has what docker-compose.yml reads, without what git ignores: the passwords of this checkout.
copy=$(mktemp --directory)
trap 'rm -rf "$copy"' EXIT
mkdir "$copy"/{hookswitch,build}
git ls-files -z --cached --others --exclude-standard \
    docker-compose.yml .dockerignore Cargo.toml Cargo.lock src deploy |
    tar --create --null --files-from=- | tar --extract --directory "$copy/hookswitch"
"$copy/hookswitch/deploy/docker/make-secrets.sh" >/dev/null

case $program in
release) options=(--release) ;;
# With an example cargo takes the features of `cargo test`, and so has nothing to compile after that.
debug) options=(--example consumer) ;;
esac
if [ "$program" != image ]; then
    say "the program of target/$program"
    cargo build --bin hookswitch "${options[@]}" --locked --quiet 9>&-
    cp "${CARGO_TARGET_DIR:-target}/$program/hookswitch" "$copy/build/"
fi

images_can_be_pulled() {
    local profiles=()
    if $monitoring; then profiles=(--profile monitoring); fi
    docker info >/dev/null 2>&1 &&
        docker compose --file "$copy/hookswitch/docker-compose.yml" "${profiles[@]}" pull --quiet \
            --ignore-buildable
}
if images_can_be_pulled; then
    say "using this machine's Docker, and the images that docker-compose.yml names"
    in_group "$scripts/deployment.sh" "$copy"
else
    say "no Docker here that can pull images: starting a private one, with stand-ins for the images"
    root_on_debian "the private Docker takes root and Debian's packages: run as root on a Debian, or start \
a Docker that can pull images"
    roots=(tools services.tar debian.tar)
    if $monitoring; then roots+=(prometheus.tar); fi
    in_group "$scripts/roots.sh" "$folder" "${roots[@]}"
    export HOOKSWITCH_ROOTS=$folder HOOKSWITCH_TOOLCHAIN
    HOOKSWITCH_TOOLCHAIN=$(rustc --print sysroot)
    in_group "$scripts/engine.sh" docker "$folder" "$scripts/deployment.sh" "$copy"
fi
