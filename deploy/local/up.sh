#!/usr/bin/env bash
# `make up`: everything, from nothing to events on the screen. Running it again does no harm.
set -euo pipefail
# shellcheck source=deploy/local/lib.sh
. "$(dirname "$0")/lib.sh"
mkdir -p "$run"

amqp_port=${HOOKSWITCH_UP_AMQP_PORT:-25670}
redis_port=${HOOKSWITCH_UP_REDIS_PORT:-26370}
http_port=${HOOKSWITCH_UP_HTTP_PORT:-8080}
admin_port=${HOOKSWITCH_UP_ADMIN_PORT:-9464}

need_port() { # NAME PORT VARIABLE
    is_running "$1" || port_free "$2" ||
        fail "port $2, wanted for $1, is taken by another program; choose one with $3=<port> make up"
}

command -v cargo >/dev/null || fail "cargo is missing: install Rust 1.95 or newer (https://rustup.rs)"
own_broker=true own_redis=true
[ -z "${HOOKSWITCH_AMQP_URL:-}" ] || own_broker=false
[ -z "${HOOKSWITCH_REDIS_URL:-}" ] || own_redis=false
if $own_broker || $own_redis; then "$root/deploy/local/install.sh"; fi

$own_broker && need_port rabbitmq "$amqp_port" HOOKSWITCH_UP_AMQP_PORT
$own_redis && need_port redis "$redis_port" HOOKSWITCH_UP_REDIS_PORT
need_port receiver "$http_port" HOOKSWITCH_UP_HTTP_PORT
for n in 0 1 2; do
    name=$([ "$n" = 0 ] && echo receiver || echo "worker-$n")
    need_port "$name" $((admin_port + n)) HOOKSWITCH_UP_ADMIN_PORT
done

say "building hookswitch (the first time takes a few minutes)"
(cd "$root" && cargo build --release --locked --quiet)

if $own_redis; then
    export HOOKSWITCH_REDIS_URL=redis://127.0.0.1:$redis_port/0
    if is_running redis; then say "Redis runs already"; else
        say "starting a private Redis on port $redis_port"
        start redis "$root/deploy/local/redis-server.sh" "$run/redis" "$redis_port"
    fi
    wait_for redis redis-cli -p "$redis_port" ping
else say "using the Redis that HOOKSWITCH_REDIS_URL names"; fi
if $own_broker; then
    export HOOKSWITCH_AMQP_URL=amqp://guest:guest@127.0.0.1:$amqp_port/%2f
    if is_running rabbitmq; then say "RabbitMQ runs already"; else
        say "starting a private RabbitMQ on port $amqp_port"
        start rabbitmq "$root/deploy/local/rabbitmq-server.sh" "$run/rabbitmq" "$amqp_port"
    fi
    wait_for rabbitmq "$program" topology apply
else say "using the RabbitMQ that HOOKSWITCH_AMQP_URL names"; fi

say "making exchanges, queues and bindings"
"$program" topology apply

start_program() { # NAME ROLE ADMIN_PORT
    local address=127.0.0.1:$3
    if is_running "$1"; then say "$1 runs already"; else
        say "starting $1 (metrics on http://$address/metrics)"
        HOOKSWITCH_ADMIN_LISTEN=$address HOOKSWITCH_RECEIVER_LISTEN=127.0.0.1:$http_port start "$1" "$program" "$2"
    fi
    wait_for "$1" "$program" health --url "http://$address/readyz"
}
start_program receiver receiver "$admin_port"
start_program worker-1 worker $((admin_port + 1))
start_program worker-2 worker $((admin_port + 2))

say "posting the sample webhooks of all providers to http://127.0.0.1:$http_port/in/<source>"
"$program" tail --idle 4 >"$run/events.txt" 2>"$run/tail.log" &
tail_pid=$!
for _ in $(seq 100); do grep -q following "$run/tail.log" && break; sleep 0.1; done
"$program" send-samples --url "http://127.0.0.1:$http_port"
wait "$tail_pid"

if [ -s "$run/events.txt" ]; then
    say "the normalized events, as they came out of the broker"
    cat "$run/events.txt"
else
    say "no new events: all of these samples were done before, so they count as duplicates"
fi

say "posting one sample again, and a body that is not JSON"
sample=$root/src/samples/wavix/answered.json
post() { curl -s -o /dev/null -w "POST /in/$1: %{http_code}\n" --data-binary "$2" "http://127.0.0.1:$http_port/in/$1"; }
post wavix "@$sample"
post wavix '{"event_type": '
sleep 1
say "the duplicates that the two workers have counted"
for n in 1 2; do
    curl -s "http://127.0.0.1:$((admin_port + n))/metrics" | grep '^hookswitch_duplicates_total' || true
done
say "the dead letters"
"$program" dead-letters list

cat <<TEXT

Everything runs; \`make down\` stops it. To go on:
  export HOOKSWITCH_CONFIG=deploy/local/hookswitch.toml HOOKSWITCH_AMQP_URL='$HOOKSWITCH_AMQP_URL' HOOKSWITCH_REDIS_URL='$HOOKSWITCH_REDIS_URL'
  target/release/hookswitch tail                     follow the events
  target/release/hookswitch dead-letters list        look at the dead letters
  curl http://127.0.0.1:$admin_port/metrics                what the receiver counts (the workers: $((admin_port + 1)), $((admin_port + 2)))
Logs are in .run/*.log
TEXT
