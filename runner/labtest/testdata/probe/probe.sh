#!/bin/sh
# Prints what a container is from inside, one fact a line: WHAT NAME VALUE. The image of the probe has it as its command.
exec 3>&- 2>&1
say() { while IFS= read -r line; do printf '%s %s\n' "$1" "$line"; done; }

# The process: rights, groups, descriptors, limits.
grep -E '^(Cap|Uid|Gid|Groups|NoNewPrivs|Seccomp|Umask|Speculation|THP|Sig(Blk|Ign))' /proc/self/status | tr '\t' ' ' | say process
for f in oom_score_adj timerslack_ns coredump_filter personality attr/current loginuid setgroups; do
	echo "$f $(cat /proc/$$/$f)"
done | say process
set -- $(sed 's/.*) //' /proc/$$/stat)
echo "group=$3 session=$4 terminal=$5 nice=$(set -- $(sed 's/.*) //' /proc/$$/stat); echo ${17})" | say process
tr '\0' ' ' </proc/1/cmdline | say process-1
for f in /proc/$$/fd/*; do to=$(readlink $f) && echo "${f##*/} $to"; done | say descriptor
sed 's/  */ /g' /proc/$$/limits | say limit
pwd | say directory
env | sort | say variable

# Namespaces and who is who.
for f in /proc/$$/ns/*; do readlink $f; done | sort -u | say namespace
for f in uid_map gid_map; do sed 's/  */ /g; s/^/'$f'/' /proc/$$/$f; done | say ids
cat /proc/$$/cgroup | say cgroup
find /sys/fs/cgroup -maxdepth 1 -type f \( -name '*.max' -o -name '*.high' -o -name '*.low' -o -name '*.weight' -o -name cpuset.\* \) |
	sort | while read -r f; do echo "${f##*/} $(tr '\n' ';' <$f)"; done | say cgroup
touch /sys/fs/cgroup/cgroup.max.depth 2>/dev/null && echo writable | say cgroup
set -- /proc/[0-9]* # this shell, and an init
[ $# -gt 2 ] && echo processes many || echo processes $#

# Mounts: where, options, kind, propagation.
while read -r id parent dev root at opts rest; do
	prop=
	set -- $rest
	while [ "$1" != - ]; do prop="$prop ${1%%:*}"; shift; done
	echo "$at $2 $opts$prop super=$4"
done </proc/self/mountinfo | sort | say mount

# What is there, and whose.
find /dev -xdev ! -path '/dev/fd/*' | sort | while read -r f; do stat -c '%n %F %t:%T %a %u:%g' $f; done | say device
for f in /dev/fd /dev/stdin /dev/stdout /dev/stderr /dev/core /dev/ptmx; do echo "$f $(readlink $f)"; done | say device
for f in / /tmp /run /var /var/tmp /etc /etc/hosts /etc/hostname /etc/resolv.conf /etc/passwd /etc/group /etc/localtime /etc/mtab \
	/proc /proc/sys /sys /sys/fs/cgroup /dev/shm /dev/mqueue /dev/pts /run/.containerenv /run/secrets /run/secrets/* /run/lock \
	/run/systemd /run/host /v /v/* /w /t /data /n; do
	[ -e $f ] && stat -c '%n %F %a %u:%g' $f
done | say file
for f in /etc/resolv.conf /etc/hosts /etc/hostname /run/.containerenv /etc/passwd /etc/group /etc/machine-id /run/secrets/*; do
	[ -f $f ] && sed "s|^|$f |" $f
done | say text
readlink /etc/mtab | say mtab
echo "$(date -d @0 +%Z%H) $(readlink /etc/localtime)" | say time
cat /proc/sys/kernel/hostname | say hostname

# The kernel's settings, and the network.
for f in /proc/sys/net/ipv4/ping_group_range /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/net/ipv4/ip_forward \
	/proc/sys/net/ipv4/conf/*/rp_filter /proc/sys/net/ipv4/conf/*/route_localnet /proc/sys/net/ipv4/conf/*/arp_* \
	/proc/sys/net/ipv6/conf/*/disable_ipv6 /proc/sys/net/ipv6/conf/*/accept_* /proc/sys/net/ipv6/conf/*/autoconf \
	/proc/sys/net/core/somaxconn /proc/sys/kernel/shm* /proc/sys/kernel/msg* /proc/sys/kernel/sem /proc/sys/fs/mqueue/*; do
	echo "${f#/proc/sys/} $(tr '\t' ' ' <$f)"
done | say sysctl
ip -o address | sed 's/^[0-9]*: //; s/valid_lft.*//; s/  */ /g' | sort | say network
ip -o link | sed 's/^[0-9]*: //; s/link\/ether.*//; s/  */ /g; s/@if[0-9]*//' | sort | say network
ip route | sort | say network

# What one may do. The last field is the kernel's word, or "yes".
may() { name=$1; shift; if out=$("$@" 2>&1 </dev/null); then echo "$name yes"; else echo "$name $(echo "$out" | head -1)"; fi; }
{
	may mount mount -t tmpfs none /mnt
	may remount-proc mount -o remount,rw /proc
	may bind mount --bind /etc /mnt
	may user-namespace unshare -U true
	may mount-namespace unshare -m true
	may network-namespace unshare -n true
	may mknod mknod /tmp/node c 1 3
	may mknod-fifo mknod /tmp/fifo p
	may chown chown 12:12 /tmp/fifo
	may setuid-bit chmod u+s /tmp/fifo
	may chroot chroot / true
	may set-time date -s @-2 # which no clock can have: what the filter lets through, the kernel calls invalid
	may kernel-log dmesg
	may nice nice -n -5 true
	may interface sh -c 'ip link add probe0 type dummy && ip link delete probe0'
	may raw sh -c 'ping -c 1 -W 5 127.0.0.1 | grep -q "1 packets received"'
	may low-port sh -c 'timeout 2 nc -l -p 79 -w 1 2>&1 | grep -q denied && echo denied && exit 1; exit 0'
	may sysctl sh -c 'echo 100 >/proc/sys/net/core/somaxconn'
	may kernel-sysctl sh -c 'cat /proc/sys/vm/swappiness >/proc/sys/vm/swappiness'
	may write-root touch /probe.made
	may write-tmp touch /tmp/probe.made
	may write-run touch /run/probe.made
	may write-dev touch /dev/probe.made
	may write-shm touch /dev/shm/probe.made
	may write-sys sh -c 'cat /sys/kernel/mm/ksm/run >/sys/kernel/mm/ksm/run'
	may read-kcore head -c 1 /proc/kcore
	may read-keys head -c 1 /proc/keys
	may read-timers head -c 1 /proc/timer_list
	may firmware ls /sys/firmware
	may su su nobody -s /bin/sh -c true
	may drop-groups setpriv --clear-groups true
	may set-hostname hostname probed
	may kill-1 kill -0 1
} | say may
