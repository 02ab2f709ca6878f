#!/usr/bin/env bash
# `make deb`: builds the Debian package, and installs, runs, upgrades and purges it on a Debian 12 that
# systemd has booted, with RabbitMQ and Redis of Debian. The package stays in target/debian.
#
# The machine is a folder and namespaces: see deb/boot.sh. It takes root on a Debian.
set -eEuo pipefail
cd "$(dirname "$0")/../.."
say() { printf '\033[1m==> %s %s\033[0m\n' "$(date +%T)" "$*"; }
tool=$PWD/.run/tools/cargo-deb-3.8.0
base=$PWD/.run/deb
packages=systemd,systemd-sysv,dbus,iproute2,procps,rabbitmq-server,redis-server,ca-certificates

# shellcheck source=tests/scripts/alone.sh
. tests/scripts/alone.sh
root_on_debian "it boots a Debian: run as root on a Debian"
alone "$base"
deploy/local/install.sh dpkg-dev mmdebstrap iproute2
[ -x "$tool/bin/cargo-deb" ] || cargo install --locked --quiet --root "$tool" cargo-deb@3.8.0 9>&-
# shellcheck source=tests/scripts/debian.sh
. tests/scripts/debian.sh
if [ "$(cat "$base/made-of" 2>/dev/null)" != "$packages" ]; then
    say "making a Debian 12 with systemd, RabbitMQ and Redis (once)"
    rm -rf "$base/root"
    debian bookworm minbase "$packages" "$base/root" --quiet 9>&-
    echo "$packages" >"$base/made-of"
fi

say "the package"
cargo build --release --locked --quiet 9>&-
version=$(cargo pkgid | sed 's/.*[@#]//')-1
package() { # VERSION FILE [OPTION …]
    "$tool/bin/cargo-deb" --quiet --no-build --deb-version "$1" --output "$2" "${@:3}" >/dev/null 9>&-
}
built=target/debian/hookswitch_$version.deb
package "$version" "$built"
dpkg-deb --info "$built" | sed -nE 's/^ (Version|Depends|Installed-Size)/    \1/p'

machine=$(mktemp --directory)
mkdir "$machine"/{upper,work,root}
root=$machine/root
mount -t overlay overlay -o "lowerdir=$base/root,upperdir=$machine/upper,workdir=$machine/work" "$root"
cp "$built" "$root/root/new.deb"
# What the upgrade begins with.
package "$version~earlier" "$root/root/earlier.deb" --fast
unshare --mount --propagation private --pid --fork --kill-child --net --uts --ipc \
    tests/scripts/deb/boot.sh "$root" >"$machine/console" 2>&1 9>&- &
booted=$!
finish() {
    kill -KILL "$booted" 2>/dev/null || true
    wait "$booted" 2>/dev/null || true
    remove_cgroups hookswitch-deb
    umount --recursive "$root" || true
    rm -rf "$machine"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'echo "deb.sh: line $LINENO failed: $BASH_COMMAND" >&2' ERR

on() { # COMMAND [ARG …]: runs it on the machine
    nsenter --target "$(pgrep --parent "$booted" | head -1)" --mount --pid --net --uts --ipc --cgroup \
        --root env --chdir / --ignore-environment LANG=C.UTF-8 HOME=/root \
        PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
}
fail() {
    echo "deb.sh: $*" >&2
    on journalctl --no-pager --lines 40 >&2 || tail -40 "$machine/console" >&2
    exit 1
}
expect() { # WHAT EXPECTED FOUND
    [ "$2" = "$3" ] || fail "$1: expected '$2', found '$3'"
    echo "    $1: $3"
}
within() { # SECONDS WHAT COMMAND [ARG …]
    local deadline=$((SECONDS + $1))
    until "${@:3}" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$deadline" ] || fail "$2: not within $1 s"
        sleep 0.5
    done
}
value() { on systemctl show --value --property "$1" "${@:2}" | xargs; }
messages() { # QUEUE
    on rabbitmqctl --quiet list_queues name messages | sed -n "s/^$1\t//p"
}
holds() { [ "$(messages "$1")" -gt 0 ]; }
is_empty() { [ "$(messages "$1")" = 0 ]; }
# The drop-in for all services whose names begin so gives the command configuration and secrets.
command_line() { # ARG …
    on systemd-run --quiet --wait --pipe --collect --unit hookswitch-command \
        --property LoadCredential=amqp_url:/etc/hookswitch/credentials/amqp_url_apply hookswitch "$@"
}
ready() { on hookswitch health --url "http://127.0.0.1:$1/readyz"; }

units=(hookswitch-receiver.service hookswitch-worker@1.service hookswitch-worker@2.service)

say "boot"
within 180 "systemd answers" on systemctl --version
within 300 "RabbitMQ and Redis run" on systemctl is-active rabbitmq-server redis-server
within 300 "RabbitMQ answers" on rabbitmqctl --quiet status
echo "    $(on systemctl --version | head -1)"

say "install"
on dpkg --install /root/earlier.deb >/dev/null
expect "the receiver, before it is configured" inactive "$(on systemctl is-active "${units[0]}" || true)"
for role in apply receiver worker; do
    echo 'amqp://guest:guest@127.0.0.1:5672/%2f' >"$root/etc/hookswitch/credentials/amqp_url_$role"
done
echo redis://127.0.0.1:6379/0 >"$root/etc/hookswitch/credentials/redis_url"
head -c 30 /dev/urandom | base64 >"$root/etc/hookswitch/credentials/sources/varda"
echo '# mine' >>"$root/etc/hookswitch/hookswitch.toml"

say "start"
on systemctl start hookswitch-apply.service || fail "the topology was not declared"
on systemctl enable --quiet --now "${units[0]}" || fail "the receiver did not start"
within 180 "the receiver is ready" ready 9464
expect "user of the receiver" hookswitch "$(on stat -c %U "/proc/$(value MainPID "${units[0]}")")"
expect "readers of the secrets" "700 root" "$(on stat -c '%a %U' /etc/hookswitch/credentials)"

say "webhooks"
command_line send-samples --sign --fresh --provider varda | tail -1 | sed 's/^/    /'
within 180 "they are queued" holds raw.varda
echo "    raw.varda: $(messages raw.varda)"
on systemctl enable --quiet --now "${units[@]:1}" || fail "the workers did not start"
within 180 "a worker is ready" ready 9471
within 180 "the other worker is ready" ready 9472
within 180 "events arrive" holds events.all
within 180 "raw.varda is empty" is_empty raw.varda
echo "    events.all: $(messages events.all)"
command_line ledger --check 30 >"$machine/ledger" ||
    fail "the ledger does not balance: $(cat "$machine/ledger")"
tail -1 "$machine/ledger" | sed 's/^/    /'

say "reload"
pids=$(value MainPID "${units[@]}")
reload() { # WHAT EVERY UNIT SAYS
    local unit since
    since=@$(date +%s.%6N)
    on systemctl reload "${units[@]}" || fail "a unit was not reloaded"
    for unit in "${units[@]}"; do
        within 60 "$unit says '$1'" on journalctl --quiet --unit "$unit" --since "$since" --grep "$1"
    done
    expect "processes that run, after '$1'" "$pids" "$(value MainPID "${units[@]}")"
}
# What the configuration does: the answers of the receiver, and what the workers ask of the broker.
answers() {
    { command_line send-samples --sign --fresh --provider varda || true; } | awk 'NF == 3 { print $3 }' | uniq
}
# In messages, which may hold 16 webhooks each until workers know better; never fewer than four.
prefetches() {
    on rabbitmqctl --quiet list_consumers queue_name prefetch_count | sed -n 's/^raw.varda\t//p' | xargs
}
prefetches_are() { [ "$(prefetches)" = "$1" ]; }
configuration=$root/etc/hookswitch/hookswitch.toml
cp "$configuration" "$machine/good.toml"
# Nothing has changed: only a signal makes a process read such a file.
reload "read again and has no problems"
sed -i 's/^provider = "varda"$/&\nbody_bytes_max = 1/' "$configuration"
printf '[worker]\nprefetch = 7\nconcurrency = 7\n' >>"$configuration"
reload "read again and has no problems"
within 60 "the workers take what they ask for" prefetches_are "4 4"
expect "answers under a limit of one byte" 413 "$(answers)"
echo '[sources' >>"$configuration"
reload "is refused: the one before stays in force"
expect "state of the units" "active active active" "$(on systemctl is-active "${units[@]}" | xargs)"
expect "prefetch of the workers" "4 4" "$(prefetches)"
cp "$machine/good.toml" "$configuration"
reload "read again and has no problems"
within 60 "the workers ask for as many as before" prefetches_are "32 32"

say "hardening"
on systemd-analyze security --no-pager "${units[0]}" | tail -1
for unit in "${units[@]}"; do
    on systemd-analyze security --no-pager --threshold=20 "$unit" >/dev/null || fail "$unit is exposed"
done

say "upgrade"
before=$(value MainPID "${units[0]}")
on dpkg --install /root/new.deb >/dev/null
within 180 "the receiver is ready" ready 9464
within 180 "a worker is ready" ready 9471
[ "$(value MainPID "${units[0]}")" != "$before" ] || fail "the receiver was not started anew"
expect "my configuration" '# mine' "$(tail -1 "$root/etc/hookswitch/hookswitch.toml")"
command_line send-samples --sign --fresh --provider varda | tail -1 | sed 's/^/    /'

say "stop"
for unit in "${units[@]}"; do
    on systemctl stop "$unit"
    expect "result of $unit" "success 0" "$(value Result "$unit") $(value ExecMainStatus "$unit")"
done

say "remove and purge"
on dpkg --remove hookswitch >/dev/null
expect "my configuration" '# mine' "$(tail -1 "$root/etc/hookswitch/hookswitch.toml")"
on dpkg --purge hookswitch >/dev/null
expect "what is left" "" "$(cd "$root" && find etc usr/bin usr/lib/s* usr/share/doc var/lib -maxdepth 5 \
    -name 'hookswitch*' -not -path 'var/lib/systemd/*' 2>/dev/null | head)"
say "all of it holds"
