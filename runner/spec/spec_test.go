// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

func parseContainer(t *testing.T, host Host, args ...string) (*Container, error) {
	t.Helper()
	fs := pflag.NewFlagSet("run", pflag.ContinueOnError)
	flags := ContainerFlags(fs)
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	return flags.Container(fs.Args(), host)
}

func TestGeneratedLine(t *testing.T) {
	c, err := parseContainer(t, Host{Dir: "/w", Environ: []string{"PODMAN_SYSTEMD_UNIT=web.service"}}, strings.Fields(
		"--name systemd-web --replace --rm --cgroups=split --sdnotify=conmon -d -v systemd-data:/d --env A=x --publish 8080:80 quay.io/x/y:1 run --now")...)
	if err != nil {
		t.Fatal(err)
	}
	if c.Name != "systemd-web" || !c.Replace || !c.Remove || c.Cgroups != "split" || c.SdNotify != "conmon" || !c.Detach ||
		c.Env["A"] != "x" || c.Publish[0].String() != "8080:80/tcp" || c.Image != "quay.io/x/y:1" || c.Command[1] != "--now" ||
		c.Labels["PODMAN_SYSTEMD_UNIT"] != "web.service" || c.Mounts[0].Type != MountVolume {
		t.Fatalf("%+v", c)
	}
}
