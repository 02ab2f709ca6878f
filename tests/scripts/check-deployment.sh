#!/usr/bin/env bash
# Checks the deployment files, and every shell script, with the tools that define their formats. Fails on any
# finding, and if a tool is missing and cannot be installed. The Python tools are installed into .run/tools
# once.
set -euo pipefail
cd "$(dirname "$0")/../.."

# shellcheck source=tests/scripts/deployment-tools.sh
. tests/scripts/deployment-tools.sh
deploy/local/install.sh docker-compose

# Unpacked instead of installed, because the package would start a server.
if [ ! -x "$tools/prometheus/usr/bin/promtool" ]; then
    (
        cd "$tools"
        apt-get download -qq prometheus >/dev/null
        dpkg-deb -x prometheus_*.deb prometheus
        rm prometheus_*.deb
    )
fi
"$tools/prometheus/usr/bin/promtool" check rules deploy/prometheus/alerts.yaml >/dev/null
"$tools/prometheus/usr/bin/promtool" check config --syntax-only deploy/prometheus/prometheus.yaml >/dev/null
"$tools/prometheus/usr/bin/promtool" test rules tests/scripts/alerts_test.yaml >/dev/null

# Each alert names a section of the runbook that exists, and the command in the file's head sets the address
# of all.
alerts=deploy/prometheus/alerts.yaml
anchors=$(sed -n 's|^ *runbook_url: https://example.com/hookswitch/docs/runbook.md#||p' "$alerts")
if [ "$(grep -c -- '- alert: ' "$alerts")" != "$(wc -l <<<"$anchors")" ]; then
    echo "$alerts: an alert has no runbook_url that begins as the head of the file says" >&2
    exit 1
fi
# An anchor has no punctuation.
sections=$(sed -n 's/^#\+ //p' docs/runbook.md | tr - ' ' | tr --delete '[:punct:]')
while read -r anchor; do
    if ! grep -qixF "${anchor//-/ }" <<<"$sections"; then
        echo "$alerts: docs/runbook.md has no section #$anchor" >&2
        exit 1
    fi
done <<<"$anchors"
elsewhere=$(mktemp --suffix .yaml)
command=$(sed -n "s/^#   \(sed .*\) alerts.yaml >.*/\1/p" "$alerts")
bash -c "$command \"\$0\"" "$alerts" >"$elsewhere"
if sed '/^#/d' "$elsewhere" | grep -q example.com; then
    echo "$alerts: the command in its head leaves a placeholder" >&2
    exit 1
fi
"$tools/prometheus/usr/bin/promtool" check rules "$elsewhere" >/dev/null
rm "$elsewhere"

mapfile -t scripts < <(find .ci deploy tests -type f \( -name '*.sh' -o -path .ci/run \) | sort)
"$bin/shellcheck" -x "${scripts[@]}"
rules='document-start: disable, line-length: disable, indentation: {indent-sequences: whatever}'
"$bin/yamllint" --strict -d "{extends: default, rules: {$rules}}" \
    docker-compose.yml docker-compose.demo.yml deploy/grafana deploy/kubernetes deploy/prometheus \
    deploy/helm/hookswitch/*.yaml tests/scripts
"$bin/hadolint" --failure-threshold style deploy/docker/Dockerfile
# Without -P, types.py would be taken for the standard library's.
"$bin/python" -P tests/scripts/dashboards.py deploy/grafana/dashboards/*.json
docker-compose --file docker-compose.yml config --quiet

docker-compose --file docker-compose.yml --file docker-compose.demo.yml config --quiet

# A job's template cannot be changed, so whatever changes it must change its name.
kubernetes=$(mktemp --directory)
trap 'rm -rf "$kubernetes"' EXIT
cp -r deploy/kubernetes/. "$kubernetes"
"$kubernetes/overlays/dev/make-secrets.sh" >/dev/null
job() { kubectl kustomize "$kubernetes/$1" | sed -n '/^kind: Job/,/^spec/s/^  name: //p'; }
for overlay in base overlays/dev overlays/production; do
    for file in base/{apply,kustomization}.yaml $overlay/{kustomization.yaml,hookswitch.toml}; do
        before=$(job $overlay)
        echo "# another" >>"$kubernetes/$file"
        if [ -z "$before" ] || [ "$(job $overlay)" = "$before" ]; then
            echo "deploy/kubernetes/$overlay: the job keeps its name, $before, after a change of $file" >&2
            exit 1
        fi
    done
done

# The chart, and what is generated from it. Helm says that alerts.yaml is a link, each time.
"$bin/python" tests/kubernetes/manifests.py check "$kubernetes" 2> >(grep -v 'found symbolic link' >&2)
echo "no findings in the compose file, Dockerfile, chart, manifests, alerts and scripts"
