#!/usr/bin/env bash
# `make pods`: plays the overlay dev of deploy/kubernetes with podman, unchanged, and checks what it promises.
#
# podman starts pods as Kubernetes would, but knows no services, probes, autoscalers or network policies. So
# names of services become aliases of the network, and this script asks what the probes ask. It takes root on
# a Debian. What is slow to make stays in .run/containers, which `make containers` uses too.
set -euo pipefail
cd "$(dirname "$0")/../.."
say() { printf '\033[1m==> %s\033[0m\n' "$*"; }
folder=$PWD/.run/containers
scripts=$PWD/tests/scripts/containers

# shellcheck source=tests/scripts/alone.sh
. tests/scripts/alone.sh
root_on_debian "podman takes root and Debian's packages here: run as root on a Debian"
alone "$folder"
# shellcheck source=tests/scripts/deployment-tools.sh
. tests/scripts/deployment-tools.sh
in_group "$scripts/roots.sh" "$folder" tools services.tar debian.tar

say "building hookswitch (the first time takes minutes)"
cargo build --release --locked --quiet 9>&-
copy=$(mktemp --directory)
trap 'rm -rf "$copy"' EXIT
mkdir "$copy/build"
cp "${CARGO_TARGET_DIR:-target}/release/hookswitch" "$copy/build/"
git ls-files -z --cached --others --exclude-standard deploy docker-compose.yml .dockerignore |
    tar --create --null --files-from=- | tar --extract --directory "$copy"
"$copy/deploy/kubernetes/overlays/dev/make-secrets.sh" >/dev/null
kubectl kustomize "$copy/deploy/kubernetes/overlays/dev" >"$copy/all.yaml"
"$bin/python" tests/kubernetes/pods.py "$copy/all.yaml" "$copy"
in_group "$scripts/engine.sh" podman "$folder" "$scripts/pods.sh" "$folder" "$copy"
