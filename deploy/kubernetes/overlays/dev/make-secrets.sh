#!/usr/bin/env bash
# Makes the secrets of this overlay in its folder `secrets`, which git ignores, once.
set -euo pipefail
cd "$(dirname "$0")"
[ ! -e secrets ] || exit 0
umask 077
made=$(mktemp --directory ./making-XXXXXX)
trap 'rm -rf "$made"' EXIT

# In an address only letters and digits need no escape. Forty of them are base64 too.
random() { head -c 64 /dev/urandom | base64 --wrap 0 | tr -dc 'A-Za-z0-9' | cut -c1-40; }

rabbitmq=$(random)
redis=$(random)
echo "amqp_url=amqp://hookswitch:$rabbitmq@rabbitmq:5672/%2f" >"$made/amqp.env"
printf '%s\n' "default_pass = $rabbitmq" 'default_user = hookswitch' 'default_user_tags.monitoring = true' \
    'log.console = true' >"$made/rabbitmq.conf"
echo "requirepass $redis" >"$made/redis.conf"
{
    echo "redis_url=redis://:$redis@redis:6379/0"
    for source in morph allo wavix salpre varda; do echo "${source}_secret=$(random)"; done
} >"$made/hookswitch.env"
mv "$made" secrets
echo "deploy/kubernetes/overlays/dev/secrets: made; hookswitch.env holds what the senders sign with"
