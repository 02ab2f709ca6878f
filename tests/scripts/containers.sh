#!/usr/bin/env bash
# `make containers`: builds the image, runs docker-compose.yml unchanged, and checks what it promises:
# containers.sh [--quick]
#
# --quick takes target/release/hookswitch instead of compiling in the image's build stage. It must run on
# Debian 12, on which the image is based.
#
# Everything happens in a copy of the repository with passwords of its own. The machine's Docker is used if it
# can pull the images. Otherwise a private one runs (containers/engine.sh), with stand-ins for the images that
# are made from Debian's packages; that takes root on a Debian. What is slow to make stays in .run/containers.
set -euo pipefail
cd "$(dirname "$0")/../.."
say() { printf '\033[1m==> %s\033[0m\n' "$*"; }
root=$PWD
folder=$root/.run/containers
scripts=$root/tests/scripts/containers

case "${1:-}" in
--quick) quick=true ;;
'') quick=false ;;
*)
    echo "usage: containers.sh [--quick]" >&2
    exit 64
    ;;
esac

# shellcheck source=tests/scripts/alone.sh
. tests/scripts/alone.sh
alone "$folder"

# The copy has what docker-compose.yml reads, without what git ignores: the passwords of this checkout.
copy=$(mktemp --directory)
trap 'rm -rf "$copy"' EXIT
mkdir "$copy/hookswitch"
git ls-files -z --cached --others --exclude-standard \
    docker-compose.yml .dockerignore Cargo.toml Cargo.lock src deploy |
    tar --create --null --files-from=- | tar --extract --directory "$copy/hookswitch"
"$copy/hookswitch/deploy/docker/make-secrets.sh" >/dev/null

export HOOKSWITCH_QUICK=$quick HOOKSWITCH_REVISION
HOOKSWITCH_REVISION=$(git rev-parse HEAD)
if $quick; then
    say "building hookswitch (the first time takes minutes)"
    cargo build --release --locked --quiet 9>&-
    mkdir "$copy/build"
    cp "${CARGO_TARGET_DIR:-target}/release/hookswitch" "$copy/build/"
fi

images_can_be_pulled() {
    docker info >/dev/null 2>&1 &&
        docker compose --file "$copy/hookswitch/docker-compose.yml" --profile monitoring pull --quiet \
            --ignore-buildable
}
if images_can_be_pulled; then
    say "using this machine's Docker, and the images that docker-compose.yml names"
    "$scripts/deployment.sh" "$copy" 9>&-
else
    say "no Docker here that can pull images: starting a private one, with stand-ins for the images"
    root_on_debian "the private Docker takes root and Debian's packages: run as root on a Debian, or start \
a Docker that can pull images"
    "$scripts/roots.sh" "$folder" 9>&-
    HOOKSWITCH_ROOTS=$folder HOOKSWITCH_TOOLCHAIN=$(rustc --print sysroot) \
        "$scripts/engine.sh" docker "$folder" "$scripts/deployment.sh" "$copy" 9>&-
fi
