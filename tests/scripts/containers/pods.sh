#!/usr/bin/env bash
# Plays the manifests that pods.py has split, beside a podman of its own: pods.sh FOLDER COPY
#
# Called by ../pods.sh through engine.sh podman. FOLDER holds the roots, COPY the manifests, the image's
# Dockerfile and the program.
set -eEuo pipefail
scripts=$(cd "$(dirname "$0")" && pwd)
folder=$1
copy=$2
cd "$copy"
# shellcheck source=tests/scripts/containers/checks.sh
. "$scripts/checks.sh"
# What podman knows of the processes of the run before.
rm -rf "$folder/podman-run" "$folder/podman-tmp"

# runc, since crun refuses a machine with both kinds of cgroups. Images stay, everything else is of this run.
export PODMAN_IGNORE_CGROUPSV1_WARNING=1
podman() {
    command podman --root "$folder/podman" --runroot "$folder/podman-run" --tmpdir "$folder/podman-tmp" \
        --cgroup-manager cgroupfs --events-backend file --runtime /usr/sbin/runc "$@"
}
fail() {
    echo "pods.sh: $*" >&2
    podman ps --all >&2 || true
    for container in $(podman ps --all --quiet); do podman logs --tail 10 "$container" >&2 || true; done
    exit 1
}
finish() {
    podman pod rm --all --force --time 5 >/dev/null 2>&1 || true
    podman network rm --force cluster >/dev/null 2>&1 || true
    podman secret rm --all >/dev/null 2>&1 || true
}
trap "trap '' INT TERM; finish" EXIT
trap 'echo "pods.sh: line $LINENO of containers/pods.sh failed: $BASH_COMMAND" >&2' ERR
trap 'exit 130' INT
trap 'exit 143' TERM

of() { # CONTAINER TEMPLATE
    podman inspect --format "$2" "$1"
}
container() { # ROLE
    echo "hookswitch-$1-pod-$1"
}
address() { # POD
    of "$(podman pod inspect --format '{{.InfraContainerID}}' "$1")" \
        '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}'
}
image_of() { # NAME: the image that the manifests name
    sed -nE "s#^ *(- )?image: ($1:.*)#\2#p" ./*.yaml | sort --unique
}
build() { # IMAGE OPTION … CONTEXT
    podman build --quiet --format docker --network host --tag "docker.io/library/$1" \
        --ulimit "nofile=$(ulimit -Hn)" --ulimit "nproc=$(ulimit -Hu)" "${@:2}" >/dev/null
}
stand_in() { # TARGET IMAGE
    build "$2" --target "$1" --file "$scripts/Dockerfile" "$folder"
    echo "    $2: NOT the real image, but made of Debian's packages"
}

images() {
    stand_in rabbitmq "$(image_of rabbitmq)"
    stand_in redis "$(image_of redis)"
    stand_in debian debian:bookworm-slim
    build "$(image_of hookswitch)" --build-context "build=$copy/build" --file deploy/docker/Dockerfile deploy
}

play() { # NAME: podman has no services, so their names are aliases
    podman kube play --quiet --network "cluster:alias=$1" "$1.yaml" >"$copy/$1.log" 2>&1 ||
        fail "podman kube play $1.yaml: $(cat "$copy/$1.log")"
}
# Asks what a probe asks, until it succeeds.
probe() { # ROLE KIND
    local url deadline=$((SECONDS + 180))
    url=http://$(address "hookswitch-$1-pod"):$(python3 -c '
import json, sys
print(json.load(open("probes.json"))[" ".join(sys.argv[1:])])' "$1" "$2")
    until client probe "$url" >"$copy/answer"; do
        [ "$SECONDS" -lt "$deadline" ] || fail "$1: its $2 fails for minutes: $(cat "$copy/answer")"
        sleep 0.5
    done
    echo "    $1: $2 $url"
}
start() {
    podman network create cluster >/dev/null
    play rabbitmq
    play redis
    play hookswitch
    local role kind job
    for role in receiver worker; do
        for kind in startupProbe readinessProbe livenessProbe; do probe "$role" "$kind"; done
    done
    job=$(podman ps --all --format '{{.Names}}' | grep -- '-pod-apply$')
    expect "exit code of the job" 0 "$(podman wait "$job")"
    # A worker that finds the broker before the job has done its work ends, and is started again.
    before=$(restarts)
}
restarts() {
    local role
    for role in receiver worker; do of "$(container $role)" '{{.RestartCount}}'; done | xargs
}

check_samples() {
    local sent conf=deploy/kubernetes/overlays/dev/secrets/rabbitmq.conf
    sent=$(podman exec "$(container receiver)" hookswitch send-samples --sign | tail -1)
    echo "    samples: $sent"
    [[ $sent == *" 0 not" ]] || fail "signed samples were refused"
    local deadline=$((SECONDS + 60))
    until podman exec "$(container worker)" hookswitch ledger | grep --quiet '^in the system 0 '; do
        [ "$SECONDS" -lt "$deadline" ] || fail "webhooks are in the system for a minute"
        sleep 0.5
    done
    podman exec "$(container worker)" hookswitch ledger --check 30 >"$copy/ledger" ||
        fail "the ledger does not balance: $(cat "$copy/ledger")"
    tail -1 "$copy/ledger" | sed 's/^/    /'
    client drain "http://$(address rabbitmq-pod):15672" "$conf" >"$copy/events"
    expect "sources of the $(wc -l <"$copy/events") events" "allo morph salpre varda wavix" \
        "$(client sources "$copy/events")"
}

check_confinement() {
    local role pid
    for role in receiver worker; do
        pid=$(of "$(container $role)" '{{.State.Pid}}')
        expect "$role: users, capabilities, no_new_privs" \
            "65532 65532 65532 65532 0000000000000000 0000000000000000 1" \
            "$(sed -nE 's/^(Uid|CapEff|CapBnd|NoNewPrivs)://p' "/proc/$pid/status" | xargs)"
        case $(touch "/proc/$pid/root/usr/x" 2>&1 || true) in
        *'Read-only file system') echo "    $role: its root is read-only" ;;
        *) fail "$role can write to its root" ;;
        esac
    done
}

# A worker without Redis is alive and not ready; the receiver stays in its service.
lose_redis() {
    podman pod stop redis-pod >/dev/null
    local url deadline=$((SECONDS + 60))
    url=http://$(address hookswitch-worker-pod):9464/readyz
    # The probe fails, which is what is awaited.
    until { client probe "$url" || true; } | grep "not ready" >"$copy/answer"; do
        [ "$SECONDS" -lt "$deadline" ] || fail "the worker still says that it is ready"
        sleep 0.2
    done
    echo "    worker: $(cat "$copy/answer")"
    probe worker livenessProbe
    probe receiver readinessProbe
    podman pod start redis-pod >/dev/null
    probe worker readinessProbe
}

stop() {
    local role
    podman pod stop --time 45 hookswitch-receiver-pod hookswitch-worker-pod >/dev/null
    for role in receiver worker; do
        expect "exit code of $role" 0 "$(of "$(container $role)" '{{.State.ExitCode}}')"
    done
    expect "restarts of receiver and worker since the start" "$before" "$(restarts)"
}

finish
say "images"
images
say "the pods of deploy/kubernetes/overlays/dev, and their probes"
start
say "users, capabilities, read-only roots"
check_confinement
say "signed samples"
check_samples
say "without Redis"
lose_redis
say "stop"
stop
say "all of it holds"
