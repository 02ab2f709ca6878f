#!/usr/bin/env bash
# Runs COMMAND beside a Docker of its own, for machines without one:
# engine.sh docker|podman FOLDER COMMAND [ARG …]
#
# podman has no daemon: COMMAND starts it.
#
# FOLDER/tools is a Debian with both (see roots.sh), whose /usr replaces the machine's. Docker and COMMAND
# run in namespaces of their own for mounts, network and processes. So their ports collide with no others,
# the machine's firewall stays as it is, and whatever happens, all of it ends with COMMAND. Images and
# caches stay in FOLDER. pasta leads from the network namespace to the machine's network, where builds find
# packages and crates.
set -euo pipefail

# The first process of the namespace of processes: when it ends, the kernel ends all others.
inside() { # ENGINE FOLDER COMMAND [ARG …]
    local engine=$1 folder=$2 docker='' status=0
    shift 2
    ip link set lo up
    # COMMAND gets the signal too, and decides.
    trap : INT TERM
    if [ "$engine" = podman ]; then
        mkdir -p /etc/containers /run/netns /run/containers
        mount --bind "$folder/tools/etc/containers" /etc/containers
        # It keeps networks and their namespaces there.
        mount -t tmpfs tmpfs /run/netns
        mount -t tmpfs tmpfs /run/containers
    fi
    mount --bind "$folder/tools/usr" /usr
    export PATH=$folder/bin:/usr/sbin:/usr/bin:/sbin:/bin
    if [ "$engine" = docker ]; then start_docker; fi
    "$@" || status=$?
    if [ -n "$docker" ]; then
        kill "$docker"
        wait "$docker" || true
    fi
    exit "$status"
}

start_docker() {
    export DOCKER_HOST=unix://$folder/docker.sock
    # A socket or pid file of a Docker that was killed is of no use.
    rm -f "$folder/docker.sock" "$folder/docker.pid"
    setsid dockerd --config-file "$folder/dockerd.json" >"$folder/dockerd.log" 2>&1 &
    docker=$!
    until docker version >/dev/null 2>&1; do
        if ! kill -0 "$docker" 2>/dev/null; then
            tail -20 "$folder/dockerd.log" >&2
            echo "engine.sh: Docker did not start; its log is $folder/dockerd.log" >&2
            exit 69
        fi
        sleep 0.2
    done
    # What a run that was killed has left behind.
    docker ps --all --quiet | xargs --no-run-if-empty docker rm --force --volumes >/dev/null
}

prepare() { # FOLDER
    local name
    mkdir -p "$1/bin"
    # The machine's /etc/alternatives does not know them.
    for name in iptables iptables-save iptables-restore ip6tables; do
        ln -sf /usr/sbin/xtables-nft-multi "$1/bin/$name"
    done
    cat >"$1/dockerd.json" <<JSON
{
  "data-root": "$1/docker",
  "exec-root": "$1/exec",
  "pidfile": "$1/docker.pid",
  "hosts": ["unix://$1/docker.sock"],
  "exec-opts": ["native.cgroupdriver=cgroupfs"],
  "cgroup-parent": "/$cgroup",
  "ip6tables": false
}
JSON
}

if [ "$1" = --inside ]; then
    shift
    inside "$@"
fi
# shellcheck source=tests/scripts/alone.sh
. "$(dirname "$0")/../alone.sh"
folder=$2
# podman takes no other for the pods of manifests.
case $1 in docker) cgroup=hookswitch-$$ ;; podman) cgroup=libpod_parent ;; esac
prepare "$folder"
pids=()
finish() {
    kill "${pids[@]}" 2>/dev/null || true
    wait
    remove_cgroups "$cgroup"
}
trap finish EXIT

# The network namespace is that of a process, and ends with it.
setsid setpriv --pdeathsig KILL unshare --net sleep infinity &
pids+=($!)
network=/proc/$!/ns/net
until [ "$(readlink "$network")" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.1; done
# pasta gives up the right to look into /proc before it looks for the namespace.
touch "$folder/network"
# shellcheck disable=SC2016 # the inner shell expands it
setsid setpriv --pdeathsig TERM unshare --mount sh -c '
    mount --bind "$1" "$0/network" && shift && mount --bind "$0/tools/usr" /usr && exec "$@"' \
    "$folder" "$network" \
    pasta --foreground --runas 0 --config-net --tcp-ports none --udp-ports none --tcp-ns none --udp-ns none \
    --netns "$folder/network" >"$folder/pasta.log" 2>&1 &
pids+=($!)
in_group setpriv --pdeathsig KILL nsenter --net="$network" \
    unshare --mount --pid --fork --kill-child --mount-proc "$0" --inside "$@"
