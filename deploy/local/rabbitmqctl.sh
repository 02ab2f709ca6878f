#!/usr/bin/env bash
# Runs rabbitmqctl against the private broker of DIR: rabbitmqctl.sh DIR COMMAND …
set -euo pipefail
dir=$(cd "$1" && pwd)
shift
# shellcheck source=deploy/local/rabbitmq-env.sh
. "$(dirname "$0")/rabbitmq-env.sh" "$dir" "$(cat "$dir/amqp.port")"
exec /usr/lib/rabbitmq/bin/rabbitmqctl "$@"
