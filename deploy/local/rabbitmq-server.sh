#!/usr/bin/env bash
# Runs a private RabbitMQ in the foreground: rabbitmq-server.sh DIR PORT
#
# Everything of it lives in DIR and listens on 127.0.0.1 only. The process becomes the broker itself (beam.smp), so
# its pid is the one to stop (TERM), freeze (STOP) or kill (KILL). Run again with the same DIR it finds its data.
# Works as root and as anybody else. User and password: guest.
#
#   HOOKSWITCH_RABBITMQ_VHOSTS  vhosts to make on the first start, separated by spaces
#   HOOKSWITCH_RABBITMQ_CONF    lines to add to rabbitmq.conf
set -euo pipefail

if [ $# -ne 2 ]; then
    echo "usage: rabbitmq-server.sh DIR PORT" >&2
    exit 64
fi
mkdir -p "$1"
dir=$(cd "$1" && pwd)
port=$2
server=/usr/lib/rabbitmq/bin/rabbitmq-server
if [ ! -x "$server" ]; then
    echo "RabbitMQ is not installed: run deploy/local/install.sh, or apt-get install rabbitmq-server" >&2
    exit 69
fi

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
[ -s "$dir/epmd.port" ] || free_port >"$dir/epmd.port"
[ -s "$dir/dist.port" ] || free_port >"$dir/dist.port"

# shellcheck source=deploy/local/rabbitmq-env.sh
. "$(dirname "$0")/rabbitmq-env.sh" "$dir" "$port"
echo "$port" >"$dir/amqp.port"
# The broker refuses a cookie that others may read.
[ -s "$dir/.erlang.cookie" ] || (umask 077 && head -c 32 /dev/urandom | base64 | tr -dc 'A-Za-z0-9' >"$dir/.erlang.cookie")
chmod 400 "$dir/.erlang.cookie"
echo '[].' >"$dir/enabled_plugins"

{
    echo "listeners.tcp.default = 127.0.0.1:$port"
    echo "log.console = false"
    echo "log.file.level = warning"
    echo "disk_free_limit.absolute = 50MB"
    echo "${HOOKSWITCH_RABBITMQ_CONF:-}"
    if [ -n "${HOOKSWITCH_RABBITMQ_VHOSTS:-}" ]; then
        echo "load_definitions = $dir/definitions.json"
    fi
} >"$dir/rabbitmq.conf"

if [ -n "${HOOKSWITCH_RABBITMQ_VHOSTS:-}" ]; then
    {
        echo '{"users":[{"name":"guest","password":"guest","tags":"administrator"}],"vhosts":[{"name":"/"}'
        for vhost in $HOOKSWITCH_RABBITMQ_VHOSTS; do
            echo ",{\"name\":\"$vhost\"}"
        done
        echo '],"permissions":[{"user":"guest","vhost":"/","configure":".*","write":".*","read":".*"}'
        for vhost in $HOOKSWITCH_RABBITMQ_VHOSTS; do
            echo ",{\"user\":\"guest\",\"vhost\":\"$vhost\",\"configure\":\".*\",\"write\":\".*\",\"read\":\".*\"}"
        done
        echo ']}'
    } >"$dir/definitions.json"
fi

# A port mapper of our own, which dies with the broker.
setpriv --pdeathsig KILL epmd -port "$ERL_EPMD_PORT" </dev/null >/dev/null 2>&1 &

# This makes the launcher replace itself by the broker instead of staying as its parent.
export RUNNING_UNDER_SYSTEMD=true
exec "$server"
