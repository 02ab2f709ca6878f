#!/usr/bin/env bash
# `make up`: everything, from nothing to events on the screen. Running it again does no harm.
set -euo pipefail
# shellcheck source=deploy/local/lib.sh
. "$(dirname "$0")/lib.sh"
lock

amqp_port=${HOOKSWITCH_UP_AMQP_PORT:-25670}
redis_port=${HOOKSWITCH_UP_REDIS_PORT:-26370}
http_port=${HOOKSWITCH_UP_HTTP_PORT:-8080}
admin_port=${HOOKSWITCH_UP_ADMIN_PORT:-9464}
own_amqp_url=amqp://guest:guest@127.0.0.1:$amqp_port/%2f
own_redis_url=redis://127.0.0.1:$redis_port/0

command -v cargo >/dev/null || fail "cargo is missing: install Rust 1.95 or newer (https://rustup.rs)"
# The end of this script tells how to set these; they then name what is ours.
export HOOKSWITCH_AMQP_URL=${HOOKSWITCH_AMQP_URL:-$own_amqp_url} HOOKSWITCH_REDIS_URL=${HOOKSWITCH_REDIS_URL:-$own_redis_url}
wanted=(gcc libc6-dev make curl) own_broker=false own_redis=false
if [ "$HOOKSWITCH_AMQP_URL" = "$own_amqp_url" ]; then own_broker=true wanted+=(rabbitmq-server); fi
if [ "$HOOKSWITCH_REDIS_URL" = "$own_redis_url" ]; then own_redis=true wanted+=(redis-server); fi
"$root/deploy/local/install.sh" "${wanted[@]}"

# What runs is kept only if it is what is asked for. The addresses as a sum, since they may hold passwords.
settings="ports $amqp_port $redis_port $http_port $admin_port, services $(echo "$HOOKSWITCH_AMQP_URL $HOOKSWITCH_REDIS_URL" | cksum)"
for name in redis rabbitmq receiver worker-1 worker-2; do
    if is_running "$name" && [ -s "$run/settings" ] && [ "$(cat "$run/settings")" != "$settings" ]; then
        fail "make up was run with other ports or services, and those still run; stop them with make down first"
    fi
done
echo "$settings" >"$run/settings"

need_port() { # NAME PORT VARIABLE
    if ! is_running "$1" && answers "$2"; then
        fail "port $2, wanted for $1, is taken by another program; choose another with $3=<port> make up"
    fi
}
if $own_broker; then need_port rabbitmq "$amqp_port" HOOKSWITCH_UP_AMQP_PORT; fi
if $own_redis; then need_port redis "$redis_port" HOOKSWITCH_UP_REDIS_PORT; fi
need_port receiver "$http_port" HOOKSWITCH_UP_HTTP_PORT
need_port receiver "$admin_port" HOOKSWITCH_UP_ADMIN_PORT
need_port worker-1 $((admin_port + 1)) HOOKSWITCH_UP_ADMIN_PORT
need_port worker-2 $((admin_port + 2)) HOOKSWITCH_UP_ADMIN_PORT

say "building hookswitch (the first time takes a few minutes)"
(cd "$root" && cargo build --release --locked --quiet) 9>&-

# They start at the same time.
if ! $own_redis; then
    say "using the Redis that HOOKSWITCH_REDIS_URL names"
elif is_running redis; then
    say "Redis runs already"
else
    say "starting a private Redis on port $redis_port"
    start redis "$root/deploy/local/redis-server.sh" "$run/redis" "$redis_port"
fi
if ! $own_broker; then
    say "using the RabbitMQ that HOOKSWITCH_AMQP_URL names"
elif is_running rabbitmq; then
    say "RabbitMQ runs already"
else
    say "starting a private RabbitMQ on port $amqp_port"
    start rabbitmq "$root/deploy/local/rabbitmq-server.sh" "$run/rabbitmq" "$amqp_port"
fi
if $own_redis; then wait_for redis redis-cli -p "$redis_port" ping; fi
if $own_broker; then wait_for rabbitmq answers "$amqp_port"; fi

say "making exchanges, queues and bindings"
"$program" topology apply

start_program() { # NAME ROLE ADMIN_PORT
    local address=127.0.0.1:$3 pid
    if is_running "$1"; then
        read -r pid _ <"$run/$1.pid"
        case $(readlink "/proc/$pid/exe") in
        *' (deleted)') say "$1 runs already, built before the last change (make down, make up: the new one)" ;;
        *) say "$1 runs already" ;;
        esac
    else
        say "starting $1 (metrics on http://$address/metrics)"
        HOOKSWITCH_ADMIN_LISTEN=$address HOOKSWITCH_RECEIVER_LISTEN=127.0.0.1:$http_port start "$1" "$program" "$2"
    fi
    wait_for "$1" "$program" health --url "http://$address/readyz"
}
start_program receiver receiver "$admin_port"
start_program worker-1 worker $((admin_port + 1))
start_program worker-2 worker $((admin_port + 2))

say "posting the sample webhooks of all providers to http://127.0.0.1:$http_port/in/<source>"
"$program" tail --idle 4 >"$run/events.txt" 2>"$run/tail.log" 9>&- &
tail_pid=$!
for _ in $(seq 100); do grep -q following "$run/tail.log" && break; sleep 0.1; done
"$program" send-samples --fresh --url "http://127.0.0.1:$http_port"
wait "$tail_pid" || fail "hookswitch tail failed: $(cat "$run/tail.log")"

if [ -s "$run/events.txt" ]; then
    say "the normalized events, as they came out of the broker"
    cat "$run/events.txt"
else
    say "no new events: all of these samples were done before, so they count as duplicates"
fi

say "posting one sample twice, and a body that is not JSON"
post() { curl -sS -o /dev/null -w "POST /in/$1: %{http_code}\n" --data-binary "$2" "http://127.0.0.1:$http_port/in/$1"; }
# The samples above have new ids each time, so none of them is a duplicate.
for body in "@$root/src/samples/wavix/answered.json" "@$root/src/samples/wavix/answered.json" '{"event_type": '; do
    post wavix "$body"
    sleep 1
done
say "the duplicates that the two workers have counted"
for n in 1 2; do
    curl -sS "http://127.0.0.1:$((admin_port + n))/metrics" | grep '^hookswitch_duplicates_total.* [1-9]' || true
done
say "the dead letters"
"$program" dead-letters stats
say "the ledger: accepted = done + duplicate + discarded + dead + in system"
"$program" ledger

where="the ones that HOOKSWITCH_AMQP_URL and HOOKSWITCH_REDIS_URL name"
exports="export HOOKSWITCH_CONFIG=deploy/local/hookswitch.toml"
if $own_broker && $own_redis; then
    where="RabbitMQ 127.0.0.1:$amqp_port (guest, guest), Redis 127.0.0.1:$redis_port"
fi
if $own_broker; then exports+=" HOOKSWITCH_AMQP_URL='$own_amqp_url'"; fi
if $own_redis; then exports+=" HOOKSWITCH_REDIS_URL='$own_redis_url'"; fi
cat <<TEXT

Everything runs; \`make down\` stops it.
  webhooks   http://127.0.0.1:$http_port/in/<source>: morph, allo, wavix, salpre, varda
  metrics    http://127.0.0.1:$admin_port/metrics (receiver), $((admin_port + 1)) and $((admin_port + 2)) (workers)
  services   $where
  logs       .run/*.log
To go on:
  $exports
  ${program#"$root"/} tail                   follow the events; send more with hookswitch send-samples
  ${program#"$root"/} dead-letters stats     look at the dead letters; hookswitch ledger: is anything lost?
  curl http://127.0.0.1:$admin_port/metrics              what the receiver counts
TEXT
