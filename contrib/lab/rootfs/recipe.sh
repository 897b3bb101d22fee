#!/bin/sh
# Runs on the host as mmdebstrap's customize hook, with the new root filesystem as its only argument.
# A change here or in the package list gives the cache another key, so the next lab is made from the new recipe.
set -eu
root=$1

# A real machine boots with its own id; an empty one would make every boot a "first boot" that enables all presets.
# Each lab writes its own.
: >"$root/etc/machine-id"
echo podunit >"$root/etc/hostname"
printf '127.0.0.1 localhost\n::1 localhost ip6-localhost\n' >"$root/etc/hosts"
# The lab's own address unit writes it; mmdebstrap copied the host's.
rm -f "$root/etc/resolv.conf"
printf 'nameserver 127.0.0.1\noptions timeout:1 attempts:1\n' >"$root/etc/resolv.conf"

# alice and bob linger; carol has no subordinate ids; dave is for system units with User=.
chroot "$root" useradd --create-home --shell /bin/bash --uid 1000 alice
chroot "$root" useradd --create-home --shell /bin/bash --uid 1001 bob
chroot "$root" useradd --create-home --shell /bin/bash --uid 1002 carol
chroot "$root" useradd --create-home --shell /bin/bash --uid 1003 dave
for f in subuid subgid; do
	printf 'alice:100000:65536\nbob:165536:65536\ndave:300000:65536\n' >"$root/etc/$f"
done
mkdir -p "$root/var/lib/systemd/linger"
: >"$root/var/lib/systemd/linger/alice"
: >"$root/var/lib/systemd/linger/bob"
chroot "$root" passwd --delete root >/dev/null

# The peer's generators stay out of the way until a test asks for them (lab peer on).
mkdir -p "$root/etc/systemd/system-generators" "$root/etc/systemd/user-generators"
ln -s /dev/null "$root/etc/systemd/system-generators/podman-system-generator"
ln -s /dev/null "$root/etc/systemd/user-generators/podman-user-generator"

# Nothing may fetch, rotate or ask for a login behind a test's back.
for u in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer \
	systemd-firstboot.service systemd-modules-load.service getty@tty1.service console-getty.service \
	systemd-networkd.service systemd-networkd.socket systemd-networkd-wait-online.service \
	netavark-dhcp-proxy.service netavark-dhcp-proxy.socket netavark-firewalld-reload.service; do
	ln -sf /dev/null "$root/etc/systemd/system/$u"
done
rm -f "$root"/etc/systemd/user/sockets.target.wants/*

# Tests count lines; dropping them is journald's policy, not what they ask about, and how full the host's disk is even
# less. Sync often: a power cut follows.
mkdir -p "$root/etc/systemd/journald.conf.d" "$root/var/log/journal"
cat >"$root/etc/systemd/journald.conf.d/lab.conf" <<END
[Journal]
Storage=persistent
RateLimitIntervalSec=0
SystemMaxUse=1G
SystemKeepFree=0
END

# /etc/podunit-lab/network is written when a lab is made; it outlives a boot, so nobody outside is needed for one.
mkdir -p "$root/etc/podunit-lab"
cat >"$root/etc/systemd/system/lab-network.service" <<'END'
[Unit]
Description=Address and route of the lab
DefaultDependencies=no
After=systemd-remount-fs.service
Before=network.target network-online.target
Wants=network.target
ConditionPathExists=/etc/podunit-lab/network

[Service]
Type=oneshot
RemainAfterExit=yes
EnvironmentFile=/etc/podunit-lab/network
ExecStart=/usr/sbin/ip address replace ${ADDRESS} dev host0
ExecStart=/usr/sbin/ip link set host0 up
ExecStart=/bin/sh -c '[ "$ROUTE" = no ] || ip route replace default via "$PEER"'
END
# Any user may open these devices on a machine with udev; the host's own nodes may say otherwise, and are not ours to
# change. And only where a whole proc and sysfs are in sight may a user namespace mount its own (mount_namespaces(7));
# nspawn covers files of /proc and shows parts of /sys.
cat >"$root/etc/systemd/system/lab-kernel.service" <<'END'
[Unit]
Description=Devices and kernel file systems that a machine has and nspawn holds back
DefaultDependencies=no
Before=sysinit.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -ec 'mkdir -p /dev/net; rm -f /dev/net/tun /dev/fuse; mknod -m 666 /dev/net/tun c 10 200; mknod -m 666 /dev/fuse c 10 229'
ExecStart=/bin/sh -ec 'for fs in proc sysfs; do mkdir -p /run/lab/$$fs; mount -t $$fs -o nosuid,nodev,noexec $$fs /run/lab/$$fs; done'
END
mkdir -p "$root/etc/systemd/system/sysinit.target.wants"
ln -s ../lab-kernel.service "$root/etc/systemd/system/sysinit.target.wants/lab-kernel.service"
mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
ln -s ../lab-network.service "$root/etc/systemd/system/multi-user.target.wants/lab-network.service"
# A machine on a network reaches this target; some service always wants it.
ln -s /usr/lib/systemd/system/network-online.target "$root/etc/systemd/system/multi-user.target.wants/network-online.target"

# The registry: plain HTTP on loopback, anonymous.
cat >"$root/etc/docker/registry/config.yml" <<'END'
version: 0.1
log:
  level: warn
  accesslog:
    disabled: true
storage:
  filesystem:
    rootdirectory: /var/lib/docker-registry
  delete:
    enabled: true
http:
  addr: 127.0.0.1:5000
END
mkdir -p "$root/etc/systemd/system/docker-registry.service.d"
printf '[Service]\nUser=root\n' >"$root/etc/systemd/system/docker-registry.service.d/lab.conf"
cat >"$root/etc/containers/registries.conf" <<'END'
# No unqualified-search-registries: a short name that has no alias is an error, never a guess.
short-name-mode = "enforcing"
END
rm -f "$root/etc/containers/registries.conf.d/shortnames.conf"
# 5001 is where a test puts the throttle (podunit-lab throttle).
for port in 5000 5001; do
	printf '[[registry]]\nlocation = "localhost:%s"\ninsecure = true\n\n' $port
done >"$root/etc/containers/registries.conf.d/lab.conf"
