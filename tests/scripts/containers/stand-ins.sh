# shellcheck shell=bash
# Sourced by deployment.sh: images made from the folder that roots.sh fills, under the names of those that
# cannot be pulled.
# shellcheck disable=SC2154 # scripts and program, monitoring are set there

# The image that docker-compose.yml or the Dockerfile names, with its tag.
named() { # NAME
    sed -nE "s#^ *(image:|FROM) *($1:[^ ]*).*#\2#p" docker-compose.yml deploy/docker/Dockerfile
}

# Builds an image, unless it is there and made of the same. Docker would notice too, but first read the
# context.
stand_in() { # TARGET NAME ROOT [OPTION …]
    local target=$1 image made_of is
    image=$(named "$2")
    made_of=$(cat "$scripts/Dockerfile" "$HOOKSWITCH_ROOTS/$3.made-of" | sha256sum | cut -c1-64)
    shift 3
    is=$(docker image inspect --format '{{.Config.Labels.made_of}}' "$image" 2>/dev/null || true)
    if [ "$is" != "$made_of" ]; then
        docker build --quiet --target "$target" --tag "$image" --label "made_of=$made_of" \
            --file "$scripts/Dockerfile" "$@" "$HOOKSWITCH_ROOTS" >/dev/null
    fi
    echo "    $image: NOT the real image, but made of Debian's packages"
}

stand_ins() {
    stand_in rabbitmq rabbitmq services.tar
    stand_in redis redis services.tar
    stand_in debian debian debian.tar
    if $monitoring; then stand_in prometheus prom/prometheus prometheus.tar; fi
    if [ "$program" = image ]; then
        stand_in rust rust debian.tar \
            --build-context toolchain="$HOOKSWITCH_TOOLCHAIN" --build-context certificates=/etc/ssl/certs
    fi
}
