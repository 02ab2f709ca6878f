#!/usr/bin/env bash
# Makes the secrets that docker-compose.yml reads; keeps those that are there. RabbitMQ, Redis, Grafana and every
# source get one of their own.
set -euo pipefail
cd "$(dirname "$0")/secrets"
# The containers run as other users than the owner of the files, so the files are world-readable; the folder, which
# the containers do not see, is for its owner alone.
chmod 700 .

random() { head -c 32 /dev/urandom | base64 | tr -d '\n'; }

fill() { # PASSWORD NAME...: names whose example holds the same password; all of them or none are there
    local password=$1 secret made=0
    shift
    for secret in "$@"; do [ ! -e "$secret" ] || made=$((made + 1)); done
    if [ "$made" = $# ]; then return; fi
    if [ "$made" != 0 ]; then
        echo "deploy/docker/secrets: only some of $* are there; they hold one password, so add the rest by hand" >&2
        exit 1
    fi
    for secret in "$@"; do
        sed "s/CHANGE-ME/$password/" "$secret.example" >"$secret"
        chmod 644 "$secret"
    done
}
# In an address only letters and digits need no escape.
fill "$(random | tr -dc 'A-Za-z0-9')" amqp_url rabbitmq.conf
fill "$(random | tr -dc 'A-Za-z0-9')" redis_url redis.conf
for secret in morph_secret allo_secret wavix_secret salpre_secret varda_secret grafana_password; do
    if [ ! -e "$secret" ]; then
        random >"$secret"
        chmod 644 "$secret"
    fi
done
echo "deploy/docker/secrets: one file for each secret; give the providers theirs"
