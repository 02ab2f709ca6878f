#!/usr/bin/env bash
# Runs rabbitmqctl, or another of RabbitMQ's tools, against the private broker of DIR:
# rabbitmqctl.sh DIR [rabbitmq-queues|rabbitmq-streams|rabbitmq-upgrade] COMMAND …
set -euo pipefail
if [ $# -lt 2 ]; then
    echo "usage: rabbitmqctl.sh DIR [TOOL] COMMAND …" >&2
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
tool=rabbitmqctl
case $1 in rabbitmq-*)
    tool=$1
    shift
    ;;
esac
exec "/usr/lib/rabbitmq/bin/$tool" "$@"
