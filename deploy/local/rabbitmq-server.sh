#!/usr/bin/env bash
# Runs a private RabbitMQ in the foreground: rabbitmq-server.sh DIR PORT
#
# Everything of it lives in DIR and listens on 127.0.0.1 only. The process becomes the broker itself (beam.smp), so
# its pid is the one to stop (TERM), freeze (STOP) or kill (KILL). Run again with the same DIR it finds its data.
# Works as root and as anybody else. User and password: guest.
#
#   HOOKSWITCH_RABBITMQ_VHOSTS  vhosts to make on the first start, separated by spaces
#   HOOKSWITCH_RABBITMQ_CONF    lines to add to rabbitmq.conf
#   HOOKSWITCH_RABBITMQ_ERLANG  arguments to add to those of Erlang
#   HOOKSWITCH_RABBITMQ_EPMD    the port of a port mapper (epmd) that runs: for the nodes of a cluster, which must also
#                               find the same DIR/.erlang.cookie
set -euo pipefail

if [ $# -ne 2 ]; then
    echo "usage: rabbitmq-server.sh DIR PORT" >&2
    exit 64
fi
mkdir -p "$1/plugins"
dir=$(cd "$1" && pwd)
port=$2
server=/usr/lib/rabbitmq/bin/rabbitmq-server
if [ ! -x "$server" ] || ! command -v epmd >/dev/null; then
    echo "RabbitMQ is not installed: run deploy/local/install.sh, or apt-get install rabbitmq-server" >&2
    exit 69
fi

if ! getent hosts localhost >/dev/null; then
    echo "rabbitmq-server.sh: this machine does not know the name localhost, which RabbitMQ needs: add '127.0.0.1 localhost' to /etc/hosts" >&2
    exit 69
fi

# The broker reads every plugin there is, only to find none enabled; showing it none but itself (for its configuration
# schema) halves the time to start.
for part in /usr/lib/rabbitmq/lib/rabbitmq_server-*/plugins/rabbit-[0-9]*; do
    ln -sfn "$part" "$dir/plugins/$(basename "$part")"
done
echo '[].' >"$dir/enabled_plugins"
echo "$port" >"$dir/amqp.port"
# The broker refuses a cookie that others may read.
[ -s "$dir/.erlang.cookie" ] || (umask 077 && head -c 32 /dev/urandom | base64 | tr -dc 'A-Za-z0-9' >"$dir/.erlang.cookie")
chmod 400 "$dir/.erlang.cookie"

{
    echo "listeners.tcp.default = 127.0.0.1:$port"
    echo "log.console = false"
    echo "log.file.level = warning"
    echo "disk_free_limit.absolute = 50MB"
    echo "${HOOKSWITCH_RABBITMQ_CONF:-}"
    if [ -n "${HOOKSWITCH_RABBITMQ_VHOSTS:-}" ]; then
        echo "definitions.import_backend = local_filesystem"
        echo "definitions.local.path = $dir/definitions.json"
        echo "definitions.skip_if_unchanged = true"
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

echo 0 >"$dir/epmd.port"
# shellcheck source=deploy/local/rabbitmq-env.sh
. "$(dirname "$0")/rabbitmq-env.sh" "$dir" "$port"

# A port mapper of our own, which dies with the broker. Its port is a new one at every start, below those that the
# kernel hands out to clients, and it must answer before the broker starts: else the broker would start a port mapper
# that nobody stops.
start_port_mapper() {
    local mapper
    ERL_EPMD_PORT=$((10000 + RANDOM % 22000))
    ! answers "$ERL_EPMD_PORT" || return 1
    setpriv --pdeathsig KILL epmd -port "$ERL_EPMD_PORT" </dev/null >/dev/null 2>&1 &
    mapper=$!
    until answers "$ERL_EPMD_PORT"; do
        kill -0 "$mapper" 2>/dev/null || return 1
        sleep 0.01
    done
    # Another's may answer on the port that ours did not get: ours is gone a moment later.
    sleep 0.02
    kill -0 "$mapper" 2>/dev/null
}
if [ -n "${HOOKSWITCH_RABBITMQ_EPMD:-}" ]; then ERL_EPMD_PORT=$HOOKSWITCH_RABBITMQ_EPMD started=true; fi
for _ in 1 2 3 4 5; do
    if [ "${started:-}" = true ]; then break; fi
    if start_port_mapper; then started=true; fi
done
if [ "${started:-}" != true ]; then
    echo "rabbitmq-server.sh: no port for epmd among 10000 to 32000 that is free" >&2
    exit 69
fi
echo "$ERL_EPMD_PORT" >"$dir/epmd.port"

# Two schedulers and no busy waiting: a private broker shares the machine with whatever is tested against it. Naming
# the node here spares RabbitMQ the start of a second Erlang that only looks for the port mapper.
export RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none \
-sname $RABBITMQ_NODENAME -start_epmd false -kernel inet_dist_use_interface {127,0,0,1} \
${HOOKSWITCH_RABBITMQ_ERLANG:-}"
# This makes the launcher replace itself by the broker instead of staying as its parent.
export RUNNING_UNDER_SYSTEMD=true
exec "$server"
