#!/usr/bin/env bash
# Builds the image and runs docker-compose.yml in COPY/hookswitch, beside a Docker that answers: deployment.sh
# COPY
#
# Called by containers.sh, which sets HOOKSWITCH_PROGRAM (image, release or debug: where the program comes
# from), HOOKSWITCH_MONITORING (true or false: with that profile or without) and HOOKSWITCH_REVISION. With
# HOOKSWITCH_ROOTS it uses stand-ins for the images that cannot be pulled.
set -eEuo pipefail
scripts=$(cd "$(dirname "$0")" && pwd)
copy=$1
program=$HOOKSWITCH_PROGRAM
monitoring=$HOOKSWITCH_MONITORING
cd "$copy/hookswitch"
# shellcheck source=tests/scripts/containers/checks.sh
. "$scripts/checks.sh"
# shellcheck source=tests/scripts/containers/stand-ins.sh
. "$scripts/stand-ins.sh"
export COMPOSE_PROJECT_NAME=hookswitch-test-$$ COMPOSE_PROFILES=monitoring
image=$(named hookswitch)
pids=()

compose() { docker compose --progress quiet "$@"; }
fail() {
    echo "containers.sh: $*" >&2
    compose ps --all >&2 || true
    compose logs --tail 20 >&2 || true
    exit 1
}
finish() {
    trap '' INT TERM
    if [ ${#pids[@]} -gt 0 ]; then kill "${pids[@]}" 2>/dev/null || true; fi
    compose down --volumes --remove-orphans --timeout 5 >/dev/null 2>&1 || true
}
trap finish EXIT
trap 'echo "containers.sh: line $LINENO of deployment.sh failed: $BASH_COMMAND" >&2' ERR
trap 'exit 130' INT
trap 'exit 143' TERM

# A value of a container or an image.
of() { # OBJECT TEMPLATE
    docker inspect --format "$2" "$1"
}
label() { # NAME
    of "$image" "{{index .Config.Labels \"org.opencontainers.image.$1\"}}"
}
exit_code() { # CONTAINER
    of "$1" '{{.State.ExitCode}}'
}
# The address of a service, which can be reached from this machine though its ports are not published.
address() { # SERVICE
    of "$(compose ps --quiet "$1")" '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}'
}

build() { # CONTEXT [OPTION …]
    local options=(--build-arg "REVISION=$HOOKSWITCH_REVISION" --build-arg SOURCE_DATE_EPOCH=1000000000)
    if [ "$program" != image ]; then options+=(--build-context "build=$1/build"); fi
    if ! docker buildx build --progress plain --iidfile "$copy/id" \
        --file "$1/hookswitch/deploy/docker/Dockerfile" "${options[@]}" "${@:2}" "$1/hookswitch" \
        >"$copy/build.log" 2>&1; then
        tail -50 "$copy/build.log" >&2
        fail "the image was not built"
    fi
}

check_image() {
    local size first version files
    build "$copy" --tag "$image"
    first=$(cat "$copy/id")
    size=$(of "$image" '{{.Size}}')
    if [ "$program" = debug ]; then
        echo "    size: $((size / 1024 / 1024)) MiB, NOT judged: the program is a debug build"
    else
        echo "    size: $((size / 1024 / 1024)) MiB"
        [ "$size" -le $((30 * 1024 * 1024)) ] || fail "the image is larger than 30 MiB"
    fi
    version=$(docker run --rm "$image" --version)
    expect "version in the label" "${version#* }" "$(label version)"
    expect "revision in the label" "$HOOKSWITCH_REVISION" "$(label revision)"
    ! docker run --rm --entrypoint sh "$image" -c true 2>/dev/null || fail "the image has a shell"
    mkdir "$copy/again"
    cp --recursive "$copy/hookswitch" "$copy/build" "$copy/again"
    build "$copy/again" --no-cache-filter root,image
    expect "id, also if put together from newer files in another folder" "$first" "$(cat "$copy/id")"
    if [ "$program" = image ]; then
        files=$(docker create "$image")
        docker cp "$files:/usr/local/bin/hookswitch" "$copy/program" >/dev/null
        docker rm "$files" >/dev/null
        echo "    crates listed in the program: $(client crates "$copy/program")"
        echo "    sha256 of the program: $(sha256sum "$copy/program" | cut -c1-64)"
    fi
}

start() {
    COMPOSE_PROFILES='' compose up --wait --wait-timeout 300 || fail "docker compose up --wait failed"
    expect "exit code of topology" 0 "$(exit_code "$(compose ps --all --quiet topology)")"
    ! compose logs receiver worker topology | grep -E '"level":"(WARN|ERROR)"' ||
        fail "the program warns of its services"
    expect "ports on the host" "127.0.0.1:8080" "$(published | xargs)"
}
published() {
    local ports='{{range .HostConfig.PortBindings}}{{range .}}{{.HostIp}}:{{.HostPort}} {{end}}{{end}}'
    compose ps --quiet | xargs docker inspect --format "$ports"
}

# Looks into a container from one beside it, since the image has no shell.
look_into() { # CONTAINER COMMAND
    docker run --rm --network none --pid "container:$1" --user 0 --cap-add SYS_PTRACE \
        "$(named redis)" sh -c "$2" 2>&1 || true
}
check_confinement() {
    local service id
    for service in receiver worker; do
        id=$(compose ps --quiet "$service" | sed -n 1p)
        expect "$service: users, capabilities, no_new_privs" \
            "65532 65532 65532 65532 0000000000000000 0000000000000000 1" \
            "$(look_into "$id" "sed -nE 's/^(Uid|CapEff|CapBnd|NoNewPrivs)://p' /proc/1/status" | xargs)"
        case $(look_into "$id" 'touch /proc/1/root/usr/x') in
        *'Read-only file system') echo "    $service: its root is read-only" ;;
        *) fail "$service can write to its root" ;;
        esac
        expect "$service: owner of its volume" 65532 \
            "$(look_into "$id" 'stat -c %u /proc/1/root/var/lib/hookswitch')"
    done
}

# Every service has limits, and no container has met them.
check_limits() {
    local id
    for id in $(compose ps --quiet); do
        case $(of "$id" '{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}}') in
        '0 '* | *' 0') fail "$(of "$id" '{{.Name}}') has no limit of memory or CPUs" ;;
        esac
        [ "$(of "$id" '{{.State.OOMKilled}} {{.RestartCount}}')" = "false 0" ] ||
            fail "$(of "$id" '{{.Name}}') was killed for its memory, or restarted"
    done
    compose ps --quiet | xargs docker stats --no-stream --format '{{.Name}} {{.MemUsage}}' | sed 's/^/    /'
}

# Prints all events that wait in the queue `events.all`, and takes them out.
drain() {
    client drain "http://$(address rabbitmq):15672" deploy/docker/secrets/rabbitmq.conf
}
check_samples() {
    local sent
    sent=$(compose exec -T receiver hookswitch send-samples --sign | tail -1)
    echo "    samples: $sent"
    [[ $sent == *" 0 not" ]] || fail "signed samples were refused"
    expect "without a signature" 401 "$(post_unsigned)"
    check_ledger
    drain >"$copy/samples"
    expect "sources of the $(wc -l <"$copy/samples") events" "allo morph salpre varda wavix" \
        "$(client sources "$copy/samples")"
}
post_unsigned() {
    python3 -c '
import urllib.error, urllib.request
try:
    print(urllib.request.urlopen("http://127.0.0.1:8080/in/wavix", b"{}").status)
except urllib.error.HTTPError as error:
    print(error.code)'
}
# Waits until all that was accepted is settled, and checks the sum.
check_ledger() {
    local deadline=$((SECONDS + 60))
    until compose exec -T worker hookswitch ledger | grep --quiet '^in the system 0 '; do
        [ "$SECONDS" -lt "$deadline" ] || fail "webhooks are in the system for a minute"
        sleep 0.5
    done
    compose exec -T worker hookswitch ledger --check 30 >"$copy/ledger" ||
        fail "the ledger does not balance: $(cat "$copy/ledger")"
    sed -n 's/^/    /; $p' "$copy/ledger"
}

scale() {
    compose up --wait --scale worker=4 worker
    expect "workers that run" 4 "$(compose ps --quiet worker | wc -l)"
}

monitor() {
    local services=(prometheus)
    [ -n "${HOOKSWITCH_ROOTS:-}" ] || services+=(grafana)
    compose up --wait "${services[@]}"
    compose exec -T prometheus promtool check config /etc/prometheus/prometheus.yml >"$copy/promtool" ||
        fail "promtool: $(cat "$copy/promtool")"
    # A receiver, four workers, RabbitMQ, Prometheus itself.
    client targets "http://$(address prometheus):9090" deploy/prometheus/alerts.yaml 7
    [ -z "${HOOKSWITCH_ROOTS:-}" ] || echo "    Grafana did NOT run: it has no package in Debian"
}

# Stops the containers of a service and starts them again, one after the other.
roll() { # SERVICE
    local id
    for id in $(compose ps --quiet "$1"); do
        docker stop "$id" >/dev/null
        expect "exit code of $(of "$id" '{{.Name}}')" 0 "$(exit_code "$id")"
        docker start "$id" >/dev/null
        until docker exec "$id" hookswitch health >/dev/null 2>&1; do sleep 0.2; done
    done
}
roll_under_load() {
    local load
    python3 "$scripts/client.py" load http://127.0.0.1:8080 deploy/docker/secrets/wavix_secret \
        "$copy/answers" &
    load=$!
    pids+=("$load")
    sleep 5
    roll worker
    roll receiver
    sleep 5
    kill "$load"
    wait "$load" || fail "the load ended"
    pids=()
    check_ledger
    drain >"$copy/events"
    client compare "$copy/answers" "$copy/events"
}

stop() {
    local id
    compose stop receiver worker
    for id in $(compose ps --all --quiet receiver worker); do
        expect "exit code of $(of "$id" '{{.Name}}')" 0 "$(exit_code "$id")"
    done
}

if [ -n "${HOOKSWITCH_ROOTS:-}" ]; then
    say "stand-ins for images"
    stand_ins
fi
say "the image"
check_image
say "docker compose up --wait"
start
say "users, capabilities, read-only roots"
check_confinement
say "signed samples"
check_samples
say "docker compose up --scale worker=4"
scale
if $monitoring; then
    say "the profile monitoring"
    monitor
fi
say "workers and receiver restarted one by one, under load"
roll_under_load
if $monitoring; then
    say "the queries of the dashboard"
    client panels "http://$(address prometheus):9090" deploy/grafana/dashboards/overview.json
fi
say "limits"
check_limits
say "stop"
stop
say "all of it holds"
