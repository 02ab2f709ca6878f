#!/usr/bin/env bash
# Generates the types of events for consumers from schemas/: types.sh NODE_TOOLS PYTHON_TOOLS TO
#
# The tools are those that examples.sh installs. Writes TO/events.ts and TO/events.py.
set -euo pipefail
cd "$(dirname "$0")/../.."
node_tools=$1 python_tools=$2 to=$3

joined=$(mktemp --suffix .json)
trap 'rm -f "$joined"' EXIT
python3 tests/scripts/types.py schemas >"$joined"
about="Generated from schemas/ by \`make types\`: the types of hookswitch's events, without code."
"$node_tools/node_modules/.bin/json2ts" --input "$joined" --output "$to/events.ts" \
    --bannerComment "// $about" --unreachableDefinitions --no-additionalProperties
"$python_tools/bin/datamodel-codegen" --input "$joined" --input-file-type jsonschema \
    --output "$to/events.py" --custom-file-header "\"\"\"$about\"\"\"" --formatters builtin \
    --output-model-type typing.TypedDict --target-python-version 3.11 --enum-field-as-literal all \
    --use-standard-collections --use-union-operator --use-schema-description --use-field-description
