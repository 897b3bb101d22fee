// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"go.podman.io/common/pkg/config"
)

// containersConf reads a containers.conf of that text as the runner does.
func containersConf(t *testing.T, text string) *config.Config {
	t.Helper()
	file := filepath.Join(t.TempDir(), "containers.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CONTAINERS_CONF", file)
	conf, err := config.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return conf
}

// TestConfigured has every key of containers.conf that a flag may override: with the key alone,
// and with a flag that says otherwise.
func TestConfigured(t *testing.T) {
	mount := func(c *Container) any { return c.Mounts }
	for name, tc := range map[string]struct {
		conf, env string
		get       func(*Container) any
		want      any
		flags     string
		flagged   any
	}{
		"userns": {conf: "[containers]\nuserns='keep-id'", get: func(c *Container) any { return c.UserNS.Mode }, want: "keep-id", flags: "--userns host", flagged: "host"},
		"the variable PODMAN_USERNS": {conf: "[containers]\nuserns='host'", env: "PODMAN_USERNS=keep-id", get: func(c *Container) any { return c.UserNS.Mode }, want: "keep-id",
			flags: "--uidmap 0:0:1", flagged: ""},
		"pidns":                         {conf: "[containers]\npidns='host'", get: func(c *Container) any { return c.PIDNS.Mode }, want: "host", flags: "--pid private", flagged: "private"},
		"utsns":                         {conf: "[containers]\nutsns='host'", get: func(c *Container) any { return c.UTSNS.Mode }, want: "host", flags: "--pod p", flagged: ""},
		"utsns and a name of one's own": {conf: "[containers]\nutsns='host'", get: func(c *Container) any { return c.UTSNS.Mode }, want: "host", flags: "--hostname a", flagged: ""},
		"ipcns":                         {conf: "[containers]\nipcns='none'", get: func(c *Container) any { return c.IPCNS.Mode }, want: "none", flags: "--ipc host", flagged: "host"},
		"cgroupns":                      {conf: "[containers]\ncgroupns='host'", get: func(c *Container) any { return c.CgroupNS.Mode }, want: "host", flags: "--cgroupns private", flagged: "private"},
		"what there is anyway": {conf: "[containers]\npidns='private'\nipcns='shareable'\nnetns='private'", get: func(c *Container) any { return []any{c.PIDNS, c.IPCNS, len(c.Networks)} },
			want: []any{Namespace{}, Namespace{}, 0}, flags: "--pid private", flagged: []any{Namespace{Mode: "private"}, Namespace{}, 0}},
		"netns":                 {conf: "[containers]\nnetns='host'", get: func(c *Container) any { return c.Networks }, want: []Network{{Mode: NetHost}}, flags: "--network none", flagged: []Network{{Mode: NetNone}}},
		"netns in a pod":        {conf: "[containers]\nnetns='host'\nuserns='keep-id'", get: func(c *Container) any { return len(c.Networks) }, want: 1, flags: "--pod p", flagged: 0},
		"volumes":               {conf: "[containers]\nvolumes=['/etc/hostname:/hn:ro']", get: mount, want: []Mount{{Type: MountBind, Source: "/etc/hostname", Destination: "/hn", Options: []string{"ro"}}}, flags: "-v a:/hn", flagged: []Mount{{Type: MountVolume, Source: "a", Destination: "/hn"}}},
		"mounts":                {conf: "[containers]\nmounts=['type=tmpfs,dst=/mm']", get: mount, want: []Mount{{Type: MountTmpfs, Destination: "/mm"}}, flags: "--tmpfs /mm:size=1m", flagged: []Mount{{Type: MountTmpfs, Destination: "/mm", Options: []string{"size=1m"}}}},
		"read_only":             {conf: "[containers]\nread_only=true", get: func(c *Container) any { return c.ReadOnly }, want: true, flags: "--read-only=false", flagged: false},
		"init":                  {conf: "[containers]\ninit=true", get: func(c *Container) any { return c.Init }, want: true, flags: "--init=false", flagged: false},
		"privileged":            {conf: "[containers]\nprivileged=true", get: func(c *Container) any { return c.Privileged }, want: true, flags: "--privileged=false", flagged: false},
		"no_hosts":              {conf: "[containers]\nno_hosts=true", get: func(c *Container) any { return c.NoHosts }, want: true, flags: "--no-hosts=false", flagged: false},
		"no_hosts in a pod":     {conf: "[containers]\nno_hosts=true", get: func(c *Container) any { return c.NoHosts }, want: true, flags: "--pod p", flagged: false},
		"no_hosts and an entry": {conf: "[containers]\nno_hosts=true", get: func(c *Container) any { return c.NoHosts }, want: true, flags: "--add-host a:1.1.1.1", flagged: false},
		"env_host":              {conf: "[containers]\nenv_host=true", get: func(c *Container) any { return c.Env["LC_A"] }, want: "1", flags: "--env-host=false", flagged: ""},
		"http_proxy":            {conf: "[containers]\nhttp_proxy=false", get: func(c *Container) any { return c.Env["http_proxy"] }, want: "", flags: "--http-proxy", flagged: "http://proxy"},
		"a name for a host":     {conf: "[containers]\ncontainer_name_as_hostname=true", get: func(c *Container) any { return c.Hostname }, want: "", flags: "--name my_web.1-", flagged: "myweb.1"},
		"default_host_ips":      {conf: "[network]\ndefault_host_ips=['127.0.0.1','::1']", get: func(c *Container) any { return c.Ports() }, want: []PortMapping(nil), flags: "-p 80:80 -p 0.0.0.0:81:81", flagged: []PortMapping{{netip.MustParseAddr("127.0.0.1"), 80, 80, 1, "tcp"}, {netip.IPv6Loopback(), 80, 80, 1, "tcp"}, {netip.IPv4Unspecified(), 81, 81, 1, "tcp"}}},
		"cgroups":               {conf: "[containers]\ncgroups='disabled'", get: func(c *Container) any { return c.Cgroups }, want: "disabled", flags: "--cgroups split", flagged: "split"},
		"log_driver":            {conf: "[containers]\nlog_driver='none'\nlog_tag='t'", get: func(c *Container) any { return c.Log }, want: Log{Driver: "none", Tag: "t"}, flags: "--log-driver journald --log-opt tag=x", flagged: Log{Driver: "journald", Tag: "x"}},
		"log_driver of a file":  {conf: "[containers]\nlog_driver='json-file'\nlog_size_max=8192", get: func(c *Container) any { return c.Log }, want: Log{Driver: "k8s-file", MaxSize: 8192}, flags: "--log-opt max-size=9000", flagged: Log{Driver: "k8s-file", MaxSize: 9000}},
		"pull_policy":           {conf: "[engine]\npull_policy='never'\nretry=7", get: func(c *Container) any { return []any{c.Pull.Policy, c.Pull.Retry} }, want: []any{"never", uint(7)}, flags: "--pull newer --retry 1", flagged: []any{"newer", uint(1)}},
		"image_volume_mode":     {conf: "[engine]\nimage_volume_mode='tmpfs'", get: func(c *Container) any { return c.ImageVolumes }, want: "tmpfs", flags: "--image-volume ignore", flagged: "ignore"},
	} {
		t.Run(name, func(t *testing.T) {
			h := host()
			h.Config = containersConf(t, tc.conf)
			if tc.env != "" {
				h.Environ = append(h.Environ, tc.env)
			}
			for flags, want := range map[string]any{"": tc.want, tc.flags: tc.flagged} {
				set := pflag.NewFlagSet("run", pflag.ContinueOnError)
				parsing := ContainerFlags(set)
				if err := set.Parse(append(strings.Fields(flags), "x")); err != nil {
					t.Fatal(err)
				}
				c, err := parsing.Container(set.Args(), h)
				if err != nil {
					t.Fatal(err)
				}
				if got := tc.get(c); !reflect.DeepEqual(got, want) {
					t.Errorf("%q: got %#v, want %#v", flags, got, want)
				}
			}
		})
	}
}

// TestConfiguredFaults has values of containers.conf that the message must not blame the command
// line for.
func TestConfiguredFaults(t *testing.T) {
	for text, want := range map[string]string{
		"userns='ns:x'":           `userns = "ns:x" of containers.conf: ns: "x" is not an absolute path`,
		"userns='private'":        `userns = "private" of containers.conf: private is for mappings that are written out`,
		"userns='me'":             `userns = "me" of containers.conf: "me" is not a mode`,
		"pidns='mine'":            `pidns = "mine" of containers.conf`,
		"netns='slirp4netns:x=y'": `netns = "slirp4netns:x=y" of containers.conf: option "x=y" of slirp4netns: there is no such option`,
		"netns='web:ip=x'":        `netns = "web:ip=x" of containers.conf: option ip of network web`,
		"volumes=['a']":           `volumes = "a" of containers.conf`,
		"mounts=['x']":            `mounts = "x" of containers.conf`,
	} {
		conf := containersConf(t, "[containers]\n"+text)
		c := Configured(conf)
		c.Image = "x"
		if err := c.Complete(conf, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	c := Defaults()
	if err := c.Complete(nil, []string{"PODMAN_USERNS=private"}); err == nil || !strings.Contains(err.Error(), "the variable PODMAN_USERNS=private") {
		t.Errorf("the variable: %v", err)
	}
	p := PodDefaults()
	conf := containersConf(t, "[containers]\nuserns='keep-id'\nnetns='host'\nno_hosts=true")
	if err := p.Complete(conf, nil); err != nil || p.UserNS.Mode != "keep-id" || len(p.Networks) != 1 || !p.NoHosts {
		t.Errorf("a pod: %+v, %v", p, err)
	}
	conf = containersConf(t, "[engine]\npod_exit_policy='stop'")
	for args, want := range map[string]string{"": "stop", "--exit-policy=continue": "continue"} {
		set := pflag.NewFlagSet("create", pflag.ContinueOnError)
		flags := PodFlags(set)
		if err := set.Parse(strings.Fields(args)); err != nil {
			t.Fatal(err)
		}
		if p, err := flags.Pod(nil, Host{Config: conf}); err != nil || p.ExitPolicy != want {
			t.Errorf("pod_exit_policy and %q: %+v, %v", args, p, err)
		}
	}
	for name, want := range map[string]string{"my_web": "myweb", "-.a": "a", "___": "", strings.Repeat("a", 99): strings.Repeat("a", 63)} {
		if got := hostname(name); got != want {
			t.Errorf("%s as a host name: %q", name, got)
		}
	}
}
