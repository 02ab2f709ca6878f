#!/usr/bin/env bash
# Runs the consumers of examples/ against a private RabbitMQ, Redis and hookswitch, and checks what they
# print: every event of a call once, also if they are killed, if their connections are cut, and if an event
# comes again. Checks the types that are generated from the schemas, with the compilers of both languages.
#
# What npm and pip install goes to .run/examples, once.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/scripts/tools.sh
. tests/scripts/tools.sh
root=$PWD
tools=$root/.run/examples
target=${CARGO_TARGET_DIR:-$root/target}/debug
program=$target/hookswitch
say() { printf '\033[1m==> %s\033[0m\n' "$*"; }

deploy/local/install.sh rabbitmq-server redis-server nodejs npm python3-venv curl
mkdir -p "$tools/node"
python_tools "$tools" examples/python/requirements.txt examples/python/requirements-dev.txt
node_tools "$tools/node" examples/node
cp examples/node/*.* "$tools/node/"

# Generates the types of events into the folder TO.
types() { # TO
    tests/scripts/types.sh "$tools/node" "$tools/venv" "$1"
}
if [ "${1:-}" = types ]; then
    mkdir -p "$tools/types"
    types "$tools/types"
    cp "$tools/types/events.py" examples/python/
    cp "$tools/types/events.ts" examples/node/
    exit 0
fi

dir=$(mktemp --directory)
pids=()
finish() {
    kill -KILL "${pids[@]}" 2>/dev/null || true
    wait 2>/dev/null || true
    rm -rf "$dir"
}
trap finish EXIT
fail() {
    echo "examples.sh: $*" >&2
    tail --lines 20 "$dir"/*.err >&2 || true
    exit 1
}

say "types and the fold of a call"
types "$dir"
for file in python/events.py node/events.ts; do
    cmp "$dir/${file#*/}" "examples/$file" || fail "examples/$file is out of date: run make types"
done
(cd examples/python && "$tools/venv/bin/mypy" --strict --no-error-summary --cache-dir "$tools/mypy" .)
PYTHONDONTWRITEBYTECODE=1 "$tools/venv/bin/python" -m unittest discover --start-directory examples/python
(cd "$tools/node" && node_modules/.bin/tsc --project . && HOOKSWITCH_ROOT=$root node --test dist/fold.test.js)

say "the consumers"
cargo build --locked --quiet --bin hookswitch --example consumer
cargo metadata --locked --format-version 1 --manifest-path examples/rust/Cargo.toml >/dev/null

# Starts COMMAND as NAME, which ends with this script; its process id is then in $started.
start() { # NAME COMMAND …
    local name=$1
    shift
    setpriv --pdeathsig KILL "$@" >>"$dir/$name.out" 2>>"$dir/$name.err" </dev/null &
    started=$!
    pids+=("$started")
}
# Waits two minutes at most for COMMAND to succeed.
await() {
    local until=$((SECONDS + 120))
    while [ "$SECONDS" -lt "$until" ]; do
        "$@" >/dev/null 2>&1 && return 0
        sleep 0.1
    done
    fail "in vain: $*"
}

read -r amqp_port redis_port http_port admin_port < <(python3 - <<'PORTS'
import socket
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(4)]
print(*(socket.getsockname()[1] for socket in sockets))
PORTS
)
export HOOKSWITCH_AMQP_URL=amqp://guest:guest@127.0.0.1:$amqp_port/%2f
export HOOKSWITCH_REDIS_URL=redis://127.0.0.1:$redis_port/0
export HOOKSWITCH_RECEIVER_LISTEN=127.0.0.1:$http_port HOOKSWITCH_ADMIN_LISTEN=127.0.0.1:$admin_port
export HOOKSWITCH_CONFIG=$dir/hookswitch.toml
languages=(rust python node)
{
    cat deploy/local/hookswitch.toml
    for language in "${languages[@]}"; do
        printf '\n[subscriptions."crm.%s"]\npatterns = ["call.#"]\n' "$language"
    done
} >"$HOOKSWITCH_CONFIG"

# Consumers have no more rights than docs/permissions.md grants.
cat >"$dir/definitions.json" <<'JSON'
{
  "vhosts": [{"name": "/"}],
  "users": [
    {"name": "guest", "password": "guest", "tags": "administrator"},
    {"name": "consumer", "password": "consumer", "tags": ""}
  ],
  "permissions": [
    {"user": "guest", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"},
    {"user": "consumer", "vhost": "/", "configure": "^$", "write": "^$", "read": "^crm\\.(rust|python|node)$"}
  ]
}
JSON
export HOOKSWITCH_RABBITMQ_CONF="definitions.import_backend = local_filesystem
definitions.local.path = $dir/definitions.json"
start rabbitmq deploy/local/rabbitmq-server.sh "$dir/rabbitmq" "$amqp_port"
start redis deploy/local/redis-server.sh "$dir/redis" "$redis_port"
answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
await answers "$redis_port"
await answers "$amqp_port"
"$program" topology apply
start hookswitch "$program" all
await "$program" health --url "http://127.0.0.1:$admin_port/readyz"

# Follows the events of calls.
follow() {
    start tail "$program" tail 'call.#' --json
    await grep -q following "$dir/tail.err"
}
# Prints the events that were followed as the consumers print them, the first of each id: that of a webhook
# without a time has another time if it is received again. Without the subjects, which `tail` masks.
expected() {
    python3 -c '
import json, sys
events = {}
for line in sys.stdin:
    event = json.loads(line)
    events.setdefault(event["id"], event)
for event in events.values():
    print(event["time"], event["type"], event["id"])' <"$dir/tail.out" | sort
}
consume() {
    local url=amqp://consumer:consumer@127.0.0.1:$amqp_port/%2f language
    consumers=()
    for language in "${languages[@]}"; do
        case $language in
        rust) command=("$target/examples/consumer") ;;
        python) command=("$tools/venv/bin/python" examples/python/consumer.py) ;;
        node) command=(node "$tools/node/consumer.mjs") ;;
        esac
        start "$language" env HOOKSWITCH_AMQP_URL="$url" SEEN="$dir/seen-$language" \
            "${command[@]}" "crm.$language"
        consumers+=("$started")
    done
}
# Succeeds if each consumer has printed what is expected, at least LEAST lines, and each line once.
have_printed_all() { # LEAST
    local language
    expected >"$dir/expected"
    [ "$(wc -l <"$dir/expected")" -ge "$1" ] || return 1
    for language in "${languages[@]}"; do
        cut --delimiter=' ' --fields=1,2,4 "$dir/$language.out" | sort >"$dir/printed"
        cmp --silent "$dir/printed" "$dir/expected" || return 1
    done
}
send() { "$program" send-samples --type call "$@" | tail -n 1; }

follow
consume
send
await have_printed_all 40

say "killed, and with the same events again: hookswitch no longer knows that it published them"
kill -KILL "${consumers[@]}"
wait "${consumers[@]}" 2>/dev/null || true
redis-cli -p "$redis_port" eval \
    "for _, key in ipairs(redis.call('keys', '*d:*')) do redis.call('del', key) end" 0 >/dev/null
consume
send

say "with their connections cut, and other events"
# Each says on standard error that it reconnects.
are_cut() {
    local language
    tests/scripts/rabbitmqctl.sh "$dir/rabbitmq" close_all_user_connections consumer 'by the test' || return 1
    for language in "${languages[@]}"; do [ -s "$dir/$language.err" ] || return 1; done
}
await are_cut
send --fresh
await have_printed_all 80
# Salpre's samples are tests, and each test is a fact of its own.
again=$(($(wc -l <"$dir/tail.out") - $(wc -l <"$dir/expected")))
[ "$again" -ge 30 ] || fail "only $again events came again"
echo "${languages[*]}: each printed $(wc -l <"$dir/expected") events once, of which $again came twice"
