// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/podunit/podunit/contrib/lab/cache"
	"github.com/podunit/podunit/contrib/lab/host"
	"github.com/podunit/podunit/contrib/lab/image"
	"github.com/podunit/podunit/contrib/lab/rootfs"
)

// Prepare makes what labs share: the host's programs, the root filesystem and the images.
func Prepare(ctx context.Context, c cache.Dir, log io.Writer) error {
	if err := host.Prepare(ctx, log); err != nil {
		return err
	}
	if _, err := rootfs.Make(ctx, c, rootfs.Suite, log); err != nil {
		return err
	}
	_, err := image.Make(ctx, c, log)
	return err
}

// Prune removes what Prepare made from older recipes, unless a lab stands on it.
func Prune(c cache.Dir, log io.Writer) error {
	release, err := c.Lock("labs")
	if err != nil {
		return err
	}
	defer release()
	labs, err := List(c, log)
	if err != nil {
		return err
	}
	used := map[string]bool{}
	for _, m := range labs {
		for _, dir := range m.spec.Lower {
			used[dir] = true
		}
	}
	images, err := image.Key()
	if err != nil {
		return err
	}
	all := []error{c.Prune(images, used)}
	for _, release := range rootfs.Releases() {
		all = append(all, c.Prune(rootfs.Key(release), used))
	}
	for _, suite := range rootfs.Suites() {
		all = append(all, c.Prune(rootfs.DiskKey(suite, images), used))
	}
	return errors.Join(all...)
}

// script runs a script of our own as root, where any failure is an error.
func (m *Machine) script(ctx context.Context, lines string) error {
	res, err := m.Run(ctx, Command{User: "root", Args: []string{"set -e\n" + lines}})
	if err == nil && res.Code != 0 {
		err = fmt.Errorf("lab %s: status %d: %s", m.Name, res.Code, strings.TrimSpace(res.Stderr))
	}
	return err
}

// Reload has the system manager and every running user manager read their units again, generators
// included.
func (m *Machine) Reload(ctx context.Context) error {
	return m.script(ctx, `systemctl daemon-reload
for u in $(systemctl list-units --plain --no-legend --state=active 'user@*.service' | sed 's/^user@\([0-9]*\).*/\1/'); do
	systemctl --user --machine="$u@" daemon-reload
done`)
}

// SetRoute gives the lab its default route, or takes it; so it stays over a boot.
func (m *Machine) SetRoute(ctx context.Context, on bool) error {
	if on {
		return m.script(ctx, `sed -i s/^ROUTE=.*/ROUTE=yes/ /etc/podunit-lab/network
. /etc/podunit-lab/network; ip route replace default via "$PEER"`)
	}
	return m.script(ctx, `sed -i s/^ROUTE=.*/ROUTE=no/ /etc/podunit-lab/network
while ip route del default 2>/dev/null; do :; done`)
}

// SetPeer unmasks Podman's generators and gives it settings that suit this kernel, or takes both
// away again.
func (m *Machine) SetPeer(ctx context.Context, on bool) error {
	lines := `for k in system user; do ln -sfn /dev/null /etc/systemd/$k-generators/podman-$k-generator; done
rm -f /etc/containers/containers.conf.d/lab-peer.conf`
	if on {
		// Where the host keeps its controllers in v1 hierarchies, a pids limit makes every start of
		// Podman's fail.
		lines = `rm -f /etc/systemd/*-generators/podman-*-generator
if ! grep -qw pids /sys/fs/cgroup/cgroup.controllers; then
	mkdir -p /etc/containers/containers.conf.d
	printf '[containers]\npids_limit = 0\n' >/etc/containers/containers.conf.d/lab-peer.conf
fi`
	}
	return errors.Join(m.script(ctx, lines), m.Reload(ctx))
}
