#!/usr/bin/env bash
# `make manifests`: renders the Helm chart into the generated files of deploy/kubernetes.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/scripts/deployment-tools.sh
. tests/scripts/deployment-tools.sh
"$bin/python" tests/kubernetes/manifests.py render 2> >(grep -v 'found symbolic link' >&2)
git status --short deploy/kubernetes
