#!/usr/bin/env bash
# Runs rabbitmqctl against the private broker of DIR: rabbitmqctl.sh DIR COMMAND …
set -euo pipefail
if [ $# -lt 2 ]; then
    echo "usage: rabbitmqctl.sh DIR COMMAND …" >&2
    exit 64
fi
if [ ! -s "$1/amqp.port" ]; then
    echo "rabbitmqctl.sh: $1 is not the folder of a private RabbitMQ: pass the DIR of rabbitmq-server.sh" >&2
    exit 64
fi
dir=$(cd "$1" && pwd)
shift
# shellcheck source=deploy/local/rabbitmq-env.sh
. "$(dirname "$0")/../../deploy/local/rabbitmq-env.sh" "$dir" "$(cat "$dir/amqp.port")"
if ! answers "$ERL_EPMD_PORT"; then
    echo "rabbitmqctl.sh: no RabbitMQ is running in $dir: start it with deploy/local/rabbitmq-server.sh" >&2
    exit 69
fi
exec /usr/lib/rabbitmq/bin/rabbitmqctl "$@"
