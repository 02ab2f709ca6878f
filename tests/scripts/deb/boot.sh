#!/usr/bin/env bash
# Boots the Debian in ROOT, as the first process of namespaces that deb.sh has made: boot.sh ROOT
set -euo pipefail
root=$1
# What systemd finds at the root of its own namespace of cgroups.
cgroup=/sys/fs/cgroup
[ ! -d $cgroup/unified ] || cgroup=$cgroup/unified
mkdir -p "$cgroup/hookswitch-deb"
echo 0 >"$cgroup/hookswitch-deb/cgroup.procs"

hostname machine
ip link set lo up
printf '127.0.0.1 localhost machine\n' >"$root/etc/hosts"
echo machine >"$root/etc/hostname"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero full random urandom tty; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/shm" "$root/dev/pts"
mount -t tmpfs tmpfs "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
# No chroot, in which the kernel refuses the namespaces of users that the units ask for.
# shellcheck disable=SC2016 # the inner shell expands it
exec unshare --cgroup sh -c 'mount -t cgroup2 cgroup2 "$0/sys/fs/cgroup" && cd "$0" && mkdir -p old &&
    pivot_root . old && umount --lazy old && rmdir old && mount --make-rshared / &&
    exec env --ignore-environment container=hookswitch PATH=/usr/sbin:/usr/bin:/sbin:/bin /sbin/init' "$root"
