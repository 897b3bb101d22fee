#!/bin/sh
# Runs on the host as mmdebstrap's customize hook after recipe.sh, for the root filesystem of a virtual machine.
set -eu
root=$1

# What nspawn holds back, a machine has.
rm "$root/etc/systemd/system/lab-kernel.service" "$root/etc/systemd/system/sysinit.target.wants/lab-kernel.service"

echo '/dev/vda / ext4 defaults 0 1' >"$root/etc/fstab"

# The network card has the name of nspawn's. It comes when udev has seen it.
mkdir -p "$root/etc/systemd/network" "$root/etc/systemd/system/lab-network.service.d"
printf '[Match]\nDriver=virtio_net\n\n[Link]\nName=host0\n' >"$root/etc/systemd/network/10-host0.link"
printf '[Unit]\nRequires=sys-subsystem-net-devices-host0.device\nAfter=sys-subsystem-net-devices-host0.device\n' \
	>"$root/etc/systemd/system/lab-network.service.d/vm.conf"

cat >"$root/etc/systemd/system/lab-agent.service" <<'END'
[Unit]
Description=Runs what the host asks for
DefaultDependencies=no
After=lab-network.service systemd-remount-fs.service
Requires=lab-network.service

[Service]
ExecStart=/usr/local/bin/podunit-lab agent
Restart=always
RestartSec=100ms
END
ln -s ../lab-agent.service "$root/etc/systemd/system/multi-user.target.wants/lab-agent.service"

# The server of NFS is for the tests that start it; at a boot it takes an emulated processor seconds.
for unit in nfs-server.service nfs-client.target nfs-blkmap.service rpcbind.service rpcbind.socket; do
	rm -f "$root"/etc/systemd/system/*.wants/$unit
done

# AppArmor compiles its profiles at the first boot, which takes an emulated processor half a minute: of the hundred that come
# with it, only those of programs in here stay.
for profile in "$root"/etc/apparmor.d/*; do
	case ${profile##*/} in
	abi | abstractions | tunables | local | disable | *passt* | *pasta* | podman | buildah | crun | runc | unprivileged_userns) ;;
	*) rm -rf "$profile" ;;
	esac
done

# The kernel executes this as process 1. The second disk is a tar archive: what this machine has of its own (podunit, its
# name and address). Power may fail while it is unpacked.
cat >"$root/usr/local/sbin/lab-init" <<'END'
#!/bin/sh
if [ -b /dev/vdb ] && ! [ -e /etc/podunit-lab/unpacked ]; then
	tar -xpf /dev/vdb -C / && sync && : >/etc/podunit-lab/unpacked && sync
fi
exec /sbin/init
END
chmod 755 "$root/usr/local/sbin/lab-init"
