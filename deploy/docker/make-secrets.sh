#!/usr/bin/env bash
# Makes the secrets that docker-compose.yml reads, with a password of its own; keeps those that are there.
set -euo pipefail
cd "$(dirname "$0")/secrets"
if [ -e amqp_url ]; then
    echo "deploy/docker/secrets: there already, kept"
    exit 0
fi
password=$(head -c 24 /dev/urandom | base64 | tr -dc 'A-Za-z0-9')
for example in *.example; do
    sed "s/CHANGE-ME/$password/" "$example" >"${example%.example}"
    # The containers run as other users than whoever makes the files.
    chmod 644 "${example%.example}"
done
echo "deploy/docker/secrets: made"
