#!/usr/bin/env bash
# Makes the secrets that docker-compose.yml reads, with a password of its own; keeps those that are there.
set -euo pipefail
cd "$(dirname "$0")/secrets"
if [ -e amqp_url ]; then
    echo "deploy/docker/secrets: there already, kept"
    exit 0
fi
# The containers run as other users than the owner of the files, so the files are world-readable; the folder, which
# the containers do not see, is for its owner alone.
chmod 700 .
password=$(head -c 24 /dev/urandom | base64 | tr -dc 'A-Za-z0-9')
# amqp_url last: with it all are there.
for secret in rabbitmq.conf redis_url amqp_url; do
    sed "s/CHANGE-ME/$password/" "$secret.example" >"$secret"
    chmod 644 "$secret"
done
echo "deploy/docker/secrets: made"
