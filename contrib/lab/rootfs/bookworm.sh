#!/bin/sh
# Runs after recipe.sh for Debian 12. Its Podman is to share storage and networks with podunit, and chooses otherwise: vfs
# where it does not trust the overlay, and CNI where images are older than its first network.
set -eu
root=$1
cat >"$root/etc/containers/storage.conf" <<'END'
[storage]
driver = "overlay"
runroot = "/run/containers/storage"
graphroot = "/var/lib/containers/storage"
END
mkdir -p "$root/etc/containers/containers.conf.d"
printf '[network]\nnetwork_backend = "netavark"\n' >"$root/etc/containers/containers.conf.d/lab.conf"
