// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/podunit/podunit/generator/keys"
	"github.com/spf13/pflag"
)

// host is a made-up surrounding.
func host() Host {
	return Host{
		Dir:     "/srv",
		Environ: []string{"HOME=/home/alice", "LC_A=1", "LC_B=2", "http_proxy=http://proxy", "NOTIFY_SOCKET=/run/notify", "PODMAN_SYSTEMD_UNIT=web.service"},
		ReadFile: func(name string) ([]byte, error) {
			switch name {
			case "/srv/env":
				return []byte("# comment\n\nFILE=1\r\n  INDENTED=yes\nQUOTED=\"as is\"\nHOME\nNOT_SET_HERE\nA=file\n"), nil
			case "/srv/bad":
				return []byte("GOOD=1\nTWO WORDS=secret\n"), nil
			case "/srv/labels":
				return []byte("from=file\nboth=file\n"), nil
			}
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		},
	}
}

func parseContainer(args ...string) (*Container, error) {
	set := pflag.NewFlagSet("run", pflag.ContinueOnError)
	flags := ContainerFlags(set)
	if err := set.Parse(args); err != nil {
		return nil, FlagError(set, err)
	}
	return flags.Container(set.Args(), host())
}

func parsePod(args ...string) (*Pod, error) {
	set := pflag.NewFlagSet("create", pflag.ContinueOnError)
	flags := PodFlags(set)
	if err := set.Parse(args); err != nil {
		return nil, FlagError(set, err)
	}
	return flags.Pod(set.Args(), host())
}

func ptr[T any](v T) *T { return &v }

// TestContainer compares one field of what a command line becomes.
func TestContainer(t *testing.T) {
	get := map[string]func(*Container) any{
		"name":       func(c *Container) any { return c.Name },
		"command":    func(c *Container) any { return c.Command },
		"image":      func(c *Container) any { return c.Image },
		"rootfs":     func(c *Container) any { return c.Rootfs },
		"entrypoint": func(c *Container) any { return c.Entrypoint },
		"env":        func(c *Container) any { return c.Env },
		"labels":     func(c *Container) any { return c.Labels },
		"user":       func(c *Container) any { return c.User },
		"pull":       func(c *Container) any { return c.Pull },
		"restart":    func(c *Container) any { return c.Restart },
		"stop":       func(c *Container) any { return []any{c.StopSignal, *c.StopTimeout} },
		"security":   func(c *Container) any { return c.Security },
		"limits":     func(c *Container) any { return c.Limits },
		"net":        func(c *Container) any { return c.Networking },
		"ids":        func(c *Container) any { return c.IDMapping },
		"devices":    func(c *Container) any { return c.Devices },
		"ns":         func(c *Container) any { return []Namespace{c.PIDNS, c.IPCNS, c.UTSNS, c.CgroupNS} },
		"log":        func(c *Container) any { return c.Log },
		"groups":     func(c *Container) any { return []any{c.Groups, c.KeepGroups} },
		"files":      func(c *Container) any { return []string{c.CIDFile, c.PIDFile, c.MainPIDFile} },
		"bools": func(c *Container) any {
			return []bool{c.Replace, c.Remove, c.Detach, c.Interactive, c.TTY, c.ReadOnly, c.ReadOnlyTmpfs, c.Init, c.SigProxy, c.Passwd, c.Pull.Quiet}
		},
		"warnings": func(c *Container) any { return c.Warnings },
	}
	for name, tc := range map[string]struct {
		args string // split at blanks; _ is an empty word
		get  string
		want any
	}{
		"flags end at the image":                    {"x --rm -d", "command", []string{"--rm", "-d"}},
		"the image":                                 {"quay.io/a/b:1 c", "image", "quay.io/a/b:1"},
		"a directory for an image":                  {"--rootfs /srv/root:O run", "rootfs", &Rootfs{Path: "/srv/root", Overlay: true}},
		"a relative directory":                      {"--rootfs root run", "rootfs", &Rootfs{Path: "/srv/root"}},
		"no image with a directory":                 {"--rootfs root run", "image", ""},
		"defaults":                                  {"x", "bools", []bool{false, false, false, false, false, false, true, false, true, true, false}},
		"joined short flags":                        {"-itd -q --name a --replace --rm --read-only --read-only-tmpfs=false --init --sig-proxy=false --passwd=false x", "bools", []bool{true, true, true, true, true, true, false, true, false, false, true}},
		"the last of two wins, false":               {"--rm --rm=false x", "bools", []bool{false, false, false, false, false, false, true, false, true, true, false}},
		"no entrypoint said":                        {"x", "entrypoint", []string(nil)},
		"an empty entrypoint":                       {"--entrypoint _ x", "entrypoint", []string{}},
		"an entrypoint of one word":                 {"--entrypoint=/bin/sh x", "entrypoint", []string{"/bin/sh"}},
		"an entrypoint as an array":                 {`--entrypoint=["/bin/sh","-c"] x`, "entrypoint", []string{"/bin/sh", "-c"}},
		"an entrypoint that only begins like one":   {`--entrypoint=[x x`, "entrypoint", []string{"[x"}},
		"proxies come along":                        {"x", "env", map[string]string{"http_proxy": "http://proxy"}},
		"and not":                                   {"--http-proxy=false x", "env", map[string]string{}},
		"words over files over the host":            {"--http-proxy=false -e A=line --env-file env x", "env", map[string]string{"FILE": "1", "INDENTED": "yes", "QUOTED": `"as is"`, "HOME": "/home/alice", "A": "line"}},
		"a name, a pattern and an empty value":      {"--http-proxy=false -e HOME -e NOT_SET -e LC_* -e E= x", "env", map[string]string{"HOME": "/home/alice", "LC_A": "1", "LC_B": "2", "E": ""}},
		"the whole host, without its unit":          {"--env-host -e HOME=/ x", "env", map[string]string{"HOME": "/", "LC_A": "1", "LC_B": "2", "http_proxy": "http://proxy", "PODMAN_SYSTEMD_UNIT": "web.service"}},
		"labels over files, and the unit":           {"-l both=line -l bare --label-file labels x", "labels", map[string]string{"both": "line", "bare": "", "from": "file", "PODMAN_SYSTEMD_UNIT": "web.service"}},
		"a label with commas and equal signs":       {"--label a=b,c=d --http-proxy=false x", "labels", map[string]string{"a": "b,c=d", "PODMAN_SYSTEMD_UNIT": "web.service"}},
		"groups":                                    {"--group-add video,44 x", "groups", []any{[]string{"video", "44"}, false}},
		"the runner's own groups":                   {"--group-add keep-groups x", "groups", []any{[]string(nil), true}},
		"pulling":                                   {"--pull newer --retry 5 --retry-delay 1m --platform linux/arm64/v8 --tls-verify=false --authfile a.json x", "pull", Pull{Policy: "newer", Retry: 5, RetryDelay: ptr(time.Minute), OS: "linux", Arch: "arm64", Variant: "v8", TLSVerify: ptr(false), AuthFile: "/srv/a.json"}},
		"restarts":                                  {"--restart on-failure:3 x", "restart", Restart{Policy: "on-failure", Max: 3}},
		"stopping":                                  {"--stop-signal sigint --stop-timeout 30 x", "stop", []any{2, 30 * time.Second}},
		"stopping by number":                        {"--stop-signal 37 --stop-timeout 0 x", "stop", []any{37, time.Duration(0)}},
		"a real-time signal":                        {"--stop-signal RTMIN+3 --stop-timeout 1 x", "stop", []any{37, time.Second}},
		"security":                                  {"--cap-drop all --cap-add net_raw,CAP_CHOWN --security-opt no-new-privileges --security-opt apparmor=unconfined --security-opt seccomp=p.json --security-opt label=type:t --security-opt mask=/a:/b --security-opt unmask=ALL --sysctl net/ipv4/ip_forward=1 x", "security", Security{CapAdd: []string{"net_raw", "CAP_CHOWN"}, CapDrop: []string{"all"}, NoNewPrivileges: true, AppArmor: "unconfined", Seccomp: "/srv/p.json", SELinux: []string{"type:t"}, Mask: []string{"/a", "/b"}, Unmask: []string{"ALL"}, Sysctls: map[string]string{"net.ipv4.ip_forward": "1"}}},
		"the older form of security options":        {"--security-opt label:disable --security-opt no-new-privileges:false x", "security", Security{SELinux: []string{"disable"}}},
		"limits":                                    {"-m 512m --memory-swap -1 --memory-reservation 1k --cpus 1.5 --cpu-shares 512 --cpuset-cpus 0-2,4 --pids-limit -1 --shm-size 0 --oom-score-adj -5 --ulimit nofile=1:2,core=-1 --device-read-bps /dev/sda:1mb --blkio-weight 10 x", "limits", Limits{Memory: ptr(int64(512 << 20)), MemorySwap: ptr(int64(-1)), MemoryReservation: ptr(int64(1024)), CPUs: ptr(1.5), CPUShares: ptr(uint64(512)), CpusetCPUs: "0-2,4", PidsLimit: ptr(int64(-1)), ShmSize: ptr(int64(0)), OOMScoreAdj: ptr(-5), Ulimits: []Ulimit{{"nofile", 1, 2}, {"core", -1, -1}}, DeviceReadBPS: []DeviceRate{{"/dev/sda", 1 << 20}}, BlkioWeight: ptr(uint16(10))}},
		"zero is no limit":                          {"--pids-limit 0 --cpus 0 --cpu-quota 0 --ulimit host x", "limits", Limits{PidsLimit: ptr(int64(-1)), HostUlimits: true}},
		"the network":                               {"--network pasta:-4,--mtu,1500 -p 80 --expose 53/udp -h box --dns 1.1.1.1,9.9.9.9 --dns-search . --dns-option ndots:1 --no-hostname x", "net", Networking{Networks: []Network{{Mode: NetPasta, Options: []string{"-4", "--mtu", "1500"}}}, Publish: []PortMapping{{ContainerPort: 80, Range: 1, Protocol: "tcp"}}, Expose: []PortRange{{53, 1, "udp"}}, Hostname: "box", DNS: []string{"1.1.1.1", "9.9.9.9"}, DNSSearch: []string{"."}, DNSOptions: []string{"ndots:1"}, NoHostname: true}},
		"the older name of --network":               {"--net container:db x", "net", Networking{Networks: []Network{{Mode: NetContainer, Name: "db"}}}},
		"mapped IDs":                                {"--uidmap 0:1:1000,1000:0:1 --gidmap 0:0 x", "ids", IDMapping{UIDMap: written("0:1:1000", "1000:0:1"), GIDMap: written("0:0:1")}},
		"private":                                   {"--userns private --uidmap 0:1:5 x", "ids", IDMapping{UIDMap: []IDMap{{IDRange: IDRange{0, 1, 5}}}}},
		"a container's user namespace":              {"--userns container:db x", "ids", IDMapping{UserNS: UserNS{Mode: "container", From: Namespace{Mode: "container", Container: "db"}}}},
		"a user namespace at a path":                {"--userns ns:/proc/1/ns/user x", "ids", IDMapping{UserNS: UserNS{Mode: "ns", From: Namespace{Mode: "ns", Path: "/proc/1/ns/user"}}}},
		"keep-id":                                   {"--userns keep-id:uid=33,gid=34,size=500 x", "ids", IDMapping{UserNS: UserNS{Mode: "keep-id", UID: ptr(uint32(33)), GID: ptr(uint32(34)), Size: 500}}},
		"devices":                                   {"--device /dev/a --device /dev/b:/dev/c:rw --device /dev/d:r x", "devices", []Device{{Host: "/dev/a", Container: "/dev/a", Permissions: "rwm"}, {Host: "/dev/b", Container: "/dev/c", Permissions: "rw"}, {Host: "/dev/d", Container: "/dev/d", Permissions: "r"}}},
		"namespaces":                                {"--pid host --ipc container:a --uts ns:/proc/1/ns/uts --cgroupns private x", "ns", []Namespace{{Mode: "host"}, {Mode: "container", Container: "a"}, {Mode: "ns", Path: "/proc/1/ns/uts"}, {Mode: "private"}}},
		"a log file":                                {"--log-driver json-file --log-opt path=/l --log-opt max-size=2kb --log-opt max-file=3 x", "log", Log{Driver: "k8s-file", Path: "/l", MaxSize: 2000, MaxFiles: 3}},
		"log files that never fill are warned of":   {"--log-driver k8s-file --log-opt max-file=3 x", "warnings", []string{"--log-opt max-file has no effect without max-size: the first file is never full"}},
		"the log":                                   {"--log-driver passthrough --log-opt tag=a --log-opt label=B=c x", "log", Log{Driver: "passthrough", Tag: "a", Labels: map[string]string{"B": "c"}}},
		"files":                                     {"--cidfile c --pidfile /p --conmon-pidfile m x", "files", []string{"/srv/c", "/p", "/srv/m"}},
		"ports that lead nowhere are warned of":     {"--network host -p 80:80 x", "warnings", []string{"published ports have no effect with --network host"}},
		"no health check is what there is":          {"--health-cmd none --no-healthcheck x", "image", "x"},
		"named networks":                            {"--network web:ip=10.89.0.7,alias=db --network bridge --network-alias x x", "net", Networking{Networks: []Network{{Mode: NetNamed, Name: "web", Options: []string{"ip=10.89.0.7", "alias=db"}}, {Mode: NetBridge}}, Aliases: []string{"x"}}},
		"named networks in a list":                  {"--network web,db x", "net", Networking{Networks: []Network{{Mode: NetNamed, Name: "web"}, {Mode: NetNamed, Name: "db"}}}},
		"an empty network is the default":           {"--network _ x", "net", Networking{}},
		"--publish-all=false in a pod says nothing": {"--pod p --publish-all=false x", "image", "x"},
		"an image's own name after a double dash":   {"-- x -a", "command", []string{"-a"}},
		"words of the command may be empty":         {"x sh _", "command", []string{"sh", ""}},
		"a name as docker shows it":                 {"--name /web x", "name", "web"},
		"no limit of memory":                        {"--memory 0 --memory-swap 0 --memory-reservation 0b --shm-size 0 x", "limits", Limits{ShmSize: ptr(int64(0))}},
		"one user":                                  {"-u 1000:1000 x", "user", "1000:1000"},
	} {
		t.Run(name, func(t *testing.T) {
			args := strings.Fields(tc.args)
			for i := range args {
				if args[i] == "_" {
					args[i] = ""
				}
			}
			c, err := parseContainer(args...)
			if err != nil {
				t.Fatal(err)
			}
			if get[tc.get] == nil {
				t.Fatalf("get reads no field %q", tc.get)
			}
			if got := get[tc.get](c); !reflect.DeepEqual(got, tc.want) {
				t.Errorf("got  %#v\nwant %#v", got, tc.want)
			}
			// A record of a container holds what was asked for.
			data, err := json.Marshal(c)
			if err != nil {
				t.Fatal(err)
			}
			var back Container
			if err := json.Unmarshal(data, &back); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(get[tc.get](&back), tc.want) {
				t.Errorf("after a round trip through JSON: %#v", get[tc.get](&back))
			}
		})
	}
}

// TestTags: what a template shows, and what is wrong with one, is known before anything runs.
func TestTags(t *testing.T) {
	c := Tagged{ID: "0123", Name: "web", ImageName: "a/b:1"}
	c.Config.Labels = map[string]string{"app": "shop"}
	for tag, want := range map[string]string{"web": "web", "{{.Name}}/{{.ID}}": "web/0123", `{{index .Config.Labels "app"}}-{{.ImageName}}`: "shop-a/b:1"} {
		if got, err := (Log{Tag: tag}).TagOf(c); got != want || err != nil {
			t.Errorf("%s: %q, %v", tag, got, err)
		}
	}
	for _, tag := range []string{"{{.Nothing}}", "{{.Name", "{{.Config.Nothing}}"} {
		if _, err := parseContainer("--log-opt", "tag="+tag, "x"); err == nil || !strings.Contains(err.Error(), "such as {{.Name}}") {
			t.Errorf("%s: %v", tag, err)
		}
	}
	for _, tag := range []string{"{{slice .ID 0 12}}", "{{slice .Name 0 30}}", "{{slice .Image 0 64}}"} {
		if _, err := parseContainer("--log-opt", "tag="+tag, "x"); err != nil {
			t.Errorf("%s: %v", tag, err)
		}
	}
	if _, err := parseContainer("--log-opt", "label=app=x", "x"); err == nil || !strings.Contains(err.Error(), "capital letters") {
		t.Errorf("a field that the journal drops: %v", err)
	}
}

func TestMounts(t *testing.T) {
	for name, tc := range map[string]struct {
		flag, value string
		want        Mount
		err         string
	}{
		"a host directory":            {"-v", "/a:/b", Mount{Type: "bind", Source: "/a", Destination: "/b"}, ""},
		"a relative one":              {"-v", "./a:/b/:ro,Z", Mount{Type: "bind", Source: "/srv/a", Destination: "/b", Options: []string{"ro"}, Relabel: "Z"}, ""},
		"a named volume":              {"-v", "data:/b:nocopy,U,noexec", Mount{Type: "volume", Source: "data", Destination: "/b", Options: []string{"noexec"}, NoCopy: true, Chown: true}, ""},
		"an anonymous volume":         {"-v", "/b", Mount{Type: "volume", Destination: "/b"}, ""},
		"an overlay":                  {"-v", "/a:/b:O,upperdir=/u,workdir=/w", Mount{Type: "bind", Source: "/a", Destination: "/b", Overlay: true, Upper: "/u", Work: "/w"}, ""},
		"a colon in a path":           {"-v", `/a\:b:/c`, Mount{Type: "bind", Source: "/a:b", Destination: "/c"}, ""},
		"propagation":                 {"-v", "/a:/b:rslave,bind", Mount{Type: "bind", Source: "/a", Destination: "/b", Options: []string{"rslave", "bind"}}, ""},
		"no destination":              {"-v", "/a:b", Mount{}, `"b" is not an absolute path`},
		"the root":                    {"-v", "/a:/", Mount{}, "cannot take the place of the root"},
		"nothing before the colon":    {"-v", ":/b", Mount{}, "only the path inside"},
		"an option that is none":      {"-v", "/a:/b:readonly", Mount{}, `"readonly" is not an option of a bind mount`},
		"opposites":                   {"-v", "/a:/b:ro,rw", Mount{}, "ro and rw exclude each other"},
		"both labels":                 {"-v", "/a:/b:z,Z", Mount{}, "z and Z exclude each other"},
		"a bad name":                  {"-v", "a/b:/c", Mount{}, "no volume name and no path"},
		"too many colons":             {"-v", "a:/b:ro:x", Mount{}, "more than two colons"},
		"upperdir alone":              {"-v", "/a:/b:O,upperdir=/u", Mount{}, "go together"},
		"one that must be there":      {"-v", "data:/b:nocreate,cached", Mount{Type: "volume", Source: "data", Destination: "/b", NoCreate: true}, ""},
		"nocreate of a directory":     {"-v", "/a:/b:nocreate", Mount{}, "not an option of a bind mount"},
		"--mount that makes nothing":  {"--mount", "source=data,destination=/b,nocreate=true,consistency=cached", Mount{Type: "volume", Source: "data", Destination: "/b", NoCreate: true}, ""},
		"--mount that makes a volume": {"--mount", "source=data,destination=/b,volume-opt=type=tmpfs,volume-opt=o=size=1m", Mount{Type: "volume", Source: "data", Destination: "/b", Driver: map[string]string{"type": "tmpfs", "o": "size=1m"}}, ""},
		"--mount that makes no name":  {"--mount", "destination=/b,volume-opt=type=tmpfs", Mount{}, "for a volume with a name"},
		"--mount with a label":        {"--mount", "source=data,destination=/b,volume-label=a=b", Mount{}, "podunit volume create --label"},
		"--mount of a link":           {"--mount", "type=bind,source=/l,destination=/b,no-dereference", Mount{Type: "bind", Source: "/l", Destination: "/b", NoDereference: true}, ""},
		"--mount of a link to write":  {"--mount", "type=bind,source=/l,destination=/b,no-dereference,U", Mount{}, "does not go together"},
		"mapped":                      {"-v", "/a:/b:idmap", Mount{Type: "bind", Source: "/a", Destination: "/b", IDMap: true}, ""},
		"a tmpfs":                     {"--tmpfs", "/t:size=64m,mode=1777,noexec,notmpcopyup", Mount{Type: "tmpfs", Destination: "/t", Options: []string{"size=64m", "mode=1777", "noexec"}, NoCopy: true}, ""},
		"no swapping":                 {"--tmpfs", "/t:noswap", Mount{Type: "tmpfs", Destination: "/t", Options: []string{"noswap"}}, ""},
		"--mount that is not swapped": {"--mount", "type=tmpfs,dst=/t,noswap", Mount{Type: "tmpfs", Destination: "/t", Options: []string{"noswap"}}, ""},
		"no swapping of a volume":     {"-v", "a:/t:noswap", Mount{}, "not an option of a volume mount"},
		"a share of memory":           {"--tmpfs", "/t:size=50%", Mount{Type: "tmpfs", Destination: "/t", Options: []string{"size=50%"}}, ""},
		"a size that is none":         {"--tmpfs", "/t:size=lots", Mount{}, `size "lots" is not a size`},
		"a mode that is none":         {"--tmpfs", "/t:mode=9", Mount{}, "not an octal mode"},
		"a label on a tmpfs":          {"--tmpfs", "/t:z", Mount{}, "not an option of a tmpfs mount"},
		"--mount bind":                {"--mount", "type=bind,src=a,target=/b,ro=true,bind-propagation=rshared,relabel=shared,bind-nonrecursive", Mount{Type: "bind", Source: "/srv/a", Destination: "/b", Options: []string{"ro", "rshared", "bind"}, Relabel: "z"}, ""},
		"--mount without a type":      {"--mount", "source=data,destination=/b,nosuid=false", Mount{Type: "volume", Source: "data", Destination: "/b", Options: []string{"suid"}}, ""},
		"--mount with a comma":        {"--mount", `type=bind,"source=/a,b",dst=/c`, Mount{Type: "bind", Source: "/a,b", Destination: "/c"}, ""},
		"--mount tmpfs":               {"--mount", "type=tmpfs,tmpfs-size=512M,tmpfs-mode=1777,destination=/t", Mount{Type: "tmpfs", Destination: "/t", Options: []string{"size=512M", "mode=1777"}}, ""},
		"--mount ramfs":               {"--mount", "type=ramfs,destination=/t", Mount{Type: "ramfs", Destination: "/t"}, ""},
		"--mount devpts":              {"--mount", "type=devpts,destination=/dev/pts,uid=5,ptmxmode=666", Mount{Type: "devpts", Destination: "/dev/pts", Options: []string{"uid=5", "ptmxmode=666"}}, ""},
		"--mount glob":                {"--mount", "type=glob,src=/usr/lib/a*,destination=/d", Mount{Type: "glob", Source: "/usr/lib/a*", Destination: "/d"}, ""},
		"--mount glob in place":       {"--mount", "type=glob,src=/usr/lib/a*", Mount{Type: "glob", Source: "/usr/lib/a*"}, ""},
		"--mount by docker's words":   {"--mount", "type=bind,src=/a,dest=/b,readonly", Mount{Type: "bind", Source: "/a", Destination: "/b", Options: []string{"ro"}}, ""},
		"--mount of an image":         {"--mount", "type=image,source=x,destination=/d,subpath=a/../b", Mount{Type: "image", Source: "x", Destination: "/d", Subpath: "/b"}, ""},
		"--mount of an artifact":      {"--mount", "type=artifact,source=x,destination=/d", Mount{Type: "artifact", Source: "x", Destination: "/d"}, ""},
		"--mount of a title":          {"--mount", "type=artifact,source=x,destination=/d,title=t,name=n,ro", Mount{Type: "artifact", Source: "x", Destination: "/d", Blob: Blob{Title: "t", Name: "n"}}, ""},
		"--mount of two titles":       {"--mount", "type=artifact,source=x,destination=/d,title=t,digest=sha256:1", Mount{}, "title and digest exclude each other"},
		"--mount by a path":           {"--mount", "type=artifact,source=x,destination=/d,name=../n", Mount{}, "is no name of a file"},
		"--mount to write":            {"--mount", "type=artifact,source=x,destination=/d,rw", Mount{}, "nobody can write to an artifact"},
		"--mount with an option":      {"--mount", "type=artifact,source=x,destination=/d,ro=false", Mount{}, "nobody can write to an artifact"},
		"--mount not to execute":      {"--mount", "type=artifact,source=x,destination=/d,noexec", Mount{}, "noexec is not an option of type artifact"},
		"--mount of no artifact":      {"--mount", "type=artifact,destination=/d", Mount{}, "source= is missing"},
		"--mount of titles elsewhere": {"--mount", "type=image,source=x,destination=/d,title=t", Mount{}, "title is not an option of type image"},
		"--mount of a type unknown":   {"--mount", "type=nfs,source=x,destination=/d", Mount{}, `"nfs" is not a type`},
		"--mount without a place":     {"--mount", "type=bind,source=/x", Mount{}, "destination= is missing"},
		"--mount without a source":    {"--mount", "type=bind,destination=/x", Mount{}, "source= is missing"},
		"--mount option of another":   {"--mount", "type=tmpfs,destination=/x,source=/y", Mount{}, "source is not an option of type tmpfs"},
		"--mount with a subpath":      {"--mount", "type=volume,source=a,destination=/x,subpath=b", Mount{Type: "volume", Source: "a", Destination: "/x", Subpath: "/b"}, ""},
		"--mount with no subpath":     {"--mount", "type=volume,source=a,destination=/x,subpath=", Mount{}, "subpath= is empty"},
		"--mount of no image":         {"--mount", "type=image,destination=/x", Mount{}, "source= is missing"},
		"a mount mapped by itself":    {"-v", "/a:/b:idmap=uids=0-1-10#10-@20-5;gids=0-0-1", Mount{}, "not a number"},
		"a mount with mappings of its own": {"-v", "/a:/b:idmap=uids=0-1-10#@10-20-5;gids=0-7-1", Mount{Type: "bind", Source: "/a", Destination: "/b", IDMap: true,
			UIDMap: []MountIDs{{FS: 0, To: 1, Size: 10}, {FS: 10, To: 20, Size: 5, Inside: true}}, GIDMap: []MountIDs{{FS: 0, To: 7, Size: 1}}}, ""},
		"a mapping of nothing":        {"-v", "/a:/b:idmap=uids=0-1-0", Mount{}, "maps nothing"},
		"a mapping of something else": {"-v", "/a:/b:idmap=0-1-1", Mount{}, "neither uids= nor gids="},
		"half a mapping":              {"-v", "/a:/b:idmap=gids=0-1", Mount{}, "is not [@]FROM-TO-SIZE"},
		"mapped and given away":       {"-v", "/a:/b:idmap,U", Mount{}, "does not go together"},
		"--mount that is no CSV":      {"--mount", `type=bind,"a`, Mount{}, "comma-separated"},
		"--mount with neither value":  {"--mount", "type=bind,src=/a,dst=/b,ro=maybe", Mount{}, "neither true nor false"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := parseContainer(tc.flag, tc.value, "x")
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Fatalf("got %v, want %q", err, tc.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(c.Mounts) != 1 || !reflect.DeepEqual(c.Mounts[0], tc.want) {
				t.Errorf("got  %#v\nwant %#v", c.Mounts, tc.want)
			}
		})
	}
}

func TestPort(t *testing.T) {
	for in, want := range map[string]string{
		"80": "80/tcp", "80/udp": "80/udp", "80:80/SCTP": "80:80/sctp", "80/TCP": "80/tcp", "8080:80": "8080:80/tcp", "8080-8082:80-82/udp": "8080-8082:80-82/udp",
		"127.0.0.1:8080:80": "127.0.0.1:8080:80/tcp", "127.0.0.1::80": "127.0.0.1::80/tcp", "[::1]:8080:80": "[::1]:8080:80/tcp",
		"[::]:8080:80": "[::]:8080:80/tcp", "[::1]::80": "[::1]::80/tcp", "0:80": "80/tcp", "1-65535": "1-65535/tcp", "127.0.0.1:80": "127.0.0.1::80/tcp",
	} {
		m, err := ParsePort(in)
		if err != nil || m.String() != want {
			t.Errorf("%s: got %s, %v, want %s", in, m, err, want)
		}
		again, err := ParsePort(m.String())
		if err != nil || again != m {
			t.Errorf("%s: %s reads as %+v, %v", in, m, again, err)
		}
	}
	for in, want := range map[string]string{
		"": "not a port", "0": "not a port", "65536": "not a port", "http": "not a port", "80:": "container port",
		"80/icmp": "not a protocol", "9-8": "backwards", "1-3:1-2": "3 ports on the host", "::1:80:80": "in brackets", "host:80:80": "not an IP address",
		"80-:80": "host port",
	} {
		if _, err := ParsePort(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", in, err, want)
		}
	}
}

// TestFaults has what is wrong with a command line, each with its way out.
func TestFaults(t *testing.T) {
	for name, tc := range map[string]struct {
		args string
		want []string
	}{
		"several at once, in their order": {"--memory lots --pull sometimes -p 80:http", []string{
			"4 faults in this command line:",
			`--memory "lots": "lots" is not a size; expected a size in bytes, or with the suffix b, k, m or g, such as --memory 512m`,
			`--pull "sometimes"`, `--publish "80:http"`, "the image is missing"}},
		"an unknown flag":                  {"--volum /a:/b x", []string{"unknown flag --volum; did you mean --volume?"}},
		"a flag that nothing is like":      {"--frobnicate x", []string{"unknown flag --frobnicate"}},
		"a mapping of a root that is none": {"--rootfs /x:idmap=uids=1", []string{`"1" is not [@]FROM-TO-SIZE`, "PATH[:O|:idmap[=MAPPINGS]]"}},
		"no place of a user namespace":     {"--userns ns:x x", []string{`ns: "x" is not an absolute path`}},
		"no container's user namespace":    {"--userns container: x", []string{"container: the name of the container is missing"}},
		"a user namespace in a pod to be":  {"--pod new:p --userns container:db x", []string{"--userns container:db: a pod has a user namespace of its own"}},
		"a user namespace and a map":       {"--userns ns:/x --uidmap 0:1:2 x", []string{"--userns and --uidmap or --gidmap exclude each other"}},
		"private without mappings":         {"--userns private x", []string{"--userns private is for mappings that are written out; give --uidmap and --gidmap"}},
		"what is refused for good":         {"--requires a x", []string{"--requires: set Requires= and After="}},
		"devices of vendors":               {"--device nvidia/gpu= --device no.slash=x --gpus a/b x", []string{"nvidia/gpu=", "no.slash=x", "nvidia.com/gpu=a/b"}},
		"rules of devices":                 {"--device-cgroup-rule c --device-cgroup-rule x_1:1_r x", []string{"a type, numbers and an access"}},
		"an empty name":                    {"--name _ x", []string{"the value is empty"}},
		"a bad name":                       {"--name a/b x", []string{"a name begins with a letter or digit"}},
		"a name that no unit could have":   {"--name " + strings.Repeat("a", 241) + " x", []string{"it has 241 characters, and may have 240"}},
		"neither true nor false":           {"--rm=maybe x", []string{`"maybe" is neither true nor false`}},
		"no detour by a bad line":          {"--env-file bad x", []string{"line 2: the name holds white space"}},
		"a file that is not there":         {"--env-file nowhere x", []string{"nowhere", "file does not exist"}},
		"a nameless variable":              {"-e =a x", []string{"the name is missing"}},
		"--rm with --restart":              {"--rm --restart always x", []string{"--rm and --restart always exclude each other"}},
		"--replace without --name":         {"--replace x", []string{"--replace needs --name"}},
		"a cgroup parent":                  {"--cgroup-parent a x", []string{"set Slice= in the [Service] section"}},
		"the pod's business":               {"--pod p -p 80:80 --dns 1.1.1.1 --network host --userns host x", []string{"--publish belongs to the pod", "--userns belongs", "--dns belongs to the pod", "--network host: the network belongs to the pod"}},
		"two networks":                     {"--network none --network host x", []string{"--network is given 2 times"}},
		"a network and a mode":             {"--network web --network host x", []string{"--network is given 2 times with modes that cannot be joined: host and web"}},
		"an address of no network":         {"--ip 10.89.0.7 --ip6 fd00::7 --mac-address 92:d0:c6:0a:29:33 --network-alias db x", []string{"--ip needs a named network", "--ip6 needs", "--mac-address needs", "--network-alias needs"}},
		"an address of two networks":       {"--network a --network b --ip 10.89.0.7 x", []string{"--ip is for one network, and there are 2"}},
		"options of a network":             {"--network a:ip=x --network b:mac=1 --network c:ip --network d:alias=x,interface_name=a234567890123456 --network bridge:interface_name=.. x", []string{`option ip of network a: "x" is not an IP address`, `option mac of network b: "1"`, `option "ip" of network c`, "option interface_name of network d", `option interface_name of network bridge: interface name ".."`}},
		"a network's name":                 {"--network a/b x", []string{`"a/b" is neither a mode nor the name of a network`}},
		"a port twice":                     {"-p 80-82:80-82 -p 127.0.0.1:80:1 -p 82:9 x", []string{"host port 82/tcp is given twice, by 80-82:80-82/tcp and by 82:9/tcp"}},
		"a destination twice":              {"-v /a:/c --tmpfs /c/ x", []string{"/c is mounted on twice"}},
		"swap without memory":              {"--memory-swap 1g x", []string{"--memory-swap needs --memory"}},
		"less swap than memory":            {"-m 2g --memory-swap 1g x", []string{"cannot be less"}},
		"two ways to say cores":            {"--cpus 1 --cpu-quota 1000 x", []string{"exclude each other"}},
		"two more ways to map":             {"--subuidname a --uidmap 0:0:1 x", []string{"leave one out"}},
		"a flag of a map":                  {"--uidmap x0:0:1 --gidmap +0:0:1:2 --uidmap 0:@x x", []string{"'x' is none of the flags", "two or three numbers", `"x" is not a number`}},
		"options of auto":                  {"--userns auto:uid=1 x", []string{`"uid" is not an option of auto`}},
		"a mapping of auto":                {"--userns auto:uidmapping=+0:0:1 x", []string{"it takes three numbers"}},
		"two ways to map":                  {"--userns keep-id --uidmap 0:0:1 x", []string{"exclude each other"}},
		"an option of keep-id":             {"--userns keep-id:user=1 x", []string{`"user" is not an option of keep-id`}},
		"an address that is none":          {"--dns one.one --add-host a --add-host b:c x", []string{`"one.one" is not an IP address`, "the address is missing", `"c" is not an IP address`}},
		"DNS left alone and changed":       {"--dns none --dns-search a x", []string{"--dns none leaves"}},
		"a capability that is none":        {"--cap-add net_rwa x", []string{`"net_rwa" is not a capability`}},
		"a limit that is none":             {"--ulimit files=1 --ulimit nofile x", []string{"invalid ulimit type: files", "invalid ulimit argument: nofile"}},
		"a signal that is none":            {"--stop-signal HARD x", []string{`"HARD" is not a signal`}},
		"log files":                        {"--log-driver json --log-opt max-size=m --log-opt max-file=0 --log-opt path= --log-opt label=x x", []string{`"json" is none of the choices`, "not a size", "from 1 to 1000", "path= is empty", "a name and a value"}},
		"a group without a user":           {"--user :5 x", []string{"the user is missing"}},
		"options unknown":                  {"--security-opt x=y --security-opt label=x --security-opt mask=a x", []string{`"x" is not an option`, `"x" is not a label`, `"a" is not an absolute path`}},
		"slirp4netns":                      {"--network slirp4netns:mtu=x --network slirp4netns:cidr=10.0.2.1/24 --network slirp4netns:port_handler=x --network slirp4netns:mtu x", []string{`option "mtu=x" of slirp4netns`, `option cidr of slirp4netns: "10.0.2.1/24" is not an IPv4 subnet`, "it is rootlesskit or slirp4netns", "want KEY=VALUE"}},
		"SCTP through pasta":               {"-p 80:80/sctp x", []string{"--publish with sctp needs a named network of root's"}},
		"descriptors":                      {"--preserve-fd 3,2,x y", []string{`"2" is not a number from 3`, `"x" is not a number from 3`}},
		"a working directory from nowhere": {"-w srv x", []string{`"srv" is not an absolute path`}},
		"a name for the host's namespace":  {"--uts host --hostname a x", []string{"--hostname needs a UTS namespace of the container's own, and --uts host is somebody else's"}},
		"kept groups and others":           {"--group-add keep-groups --group-add 457 x", []string{"does not go together with single groups"}},
		"a rootfs option unknown":          {"--rootfs /a:Z x", []string{`"Z" is not an option; expected PATH[:O|:idmap[=MAPPINGS]]`}},
	} {
		t.Run(name, func(t *testing.T) {
			args := strings.Fields(tc.args)
			for i := range args {
				if args[i] == "_" {
					args[i] = ""
				}
			}
			_, err := parseContainer(args...)
			if err == nil {
				t.Fatal("no error")
			}
			rest := err.Error()
			for _, want := range tc.want {
				i := strings.Index(rest, want)
				if i < 0 {
					t.Fatalf("no %q, or not in this order, in:\n%v", want, err)
				}
				rest = rest[i+len(want):]
			}
		})
	}
}

// TestShown has what inspect shows of security options, mounts in memory and ports.
func TestShown(t *testing.T) {
	c, err := parseContainer(strings.Fields("--security-opt no-new-privileges --security-opt label=disable --security-opt mask=/a:/b --security-opt unmask=ALL " +
		"--security-opt seccomp=unconfined --tmpfs /t --tmpfs /u:ro,exec,dev,size=1m,notmpcopyup --mount type=devpts,dst=/p -v a:/v -v b:/w:suid,ro -p 80:80 --network none x")...)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(c.Security.Options(), " "); got != "no-new-privileges label=disable seccomp=unconfined mask=/a:/b unmask=ALL" {
		t.Error(got)
	}
	for i, want := range []string{"rw,rprivate,nosuid,nodev,tmpcopyup", "ro,exec,dev,size=1m,rprivate,nosuid", "rw,rprivate,nosuid"} {
		if got := strings.Join(c.Mounts[i].MemoryOptions(), ","); got != want {
			t.Errorf("%s: %s", c.Mounts[i], got)
		}
	}
	for i, want := range []string{"nosuid,nodev", "suid,ro,nodev"} {
		if got := strings.Join(c.Mounts[3+i].VolumeOptions(), ","); got != want {
			t.Errorf("%s: %s", c.Mounts[3+i], got)
		}
	}
	if ports := c.Ports(); ports != nil || len(c.Publish) != 1 {
		t.Errorf("%v", ports)
	}
}

// TestSameMountTwice has a unit and its drop-in name the same volume.
func TestSameMountTwice(t *testing.T) {
	c, err := parseContainer("-v", "a:/x:ro", "-v", "a:/x:ro", "x")
	if err != nil || len(c.Mounts) != 1 {
		t.Errorf("%v, %v", c.Mounts, err)
	}
}

// TestHostileFiles has files of variables and labels that a container may have put at the place
// of the right ones: each is an error at once, and not a start that hangs.
func TestHostileFiles(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600), os.Symlink("/etc/shadow", filepath.Join(dir, "link")),
		os.WriteFile(filepath.Join(dir, "huge"), nil, 0o600), os.Truncate(filepath.Join(dir, "huge"), maxFile+1)); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{"pipe": "but a pipe", "link": "but a link", "huge": "too large", "/dev/zero": "but a device"} {
		for _, flag := range []string{"--env-file", "--label-file"} {
			set := pflag.NewFlagSet("run", pflag.ContinueOnError)
			flags := ContainerFlags(set)
			if err := set.Parse([]string{flag, file, "x"}); err != nil {
				t.Fatal(err)
			}
			if _, err := flags.Container(set.Args(), Host{Dir: dir}); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s %s: %v", flag, file, err)
			}
		}
		if _, err := (Host{Dir: dir}).Assignments([]string{file}, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("exec --env-file %s: %v", file, err)
		}
	}
}

// TestOwnDescriptor has a shell's --env-file <(COMMAND).
func TestOwnDescriptor(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := w.WriteString("A=b\n"); err != nil {
		t.Fatal(err)
	}
	w.Close()
	got, err := (Host{Dir: "/"}).Assignments([]string{fmt.Sprintf("/dev/fd/%d", r.Fd())}, nil)
	if err != nil || !reflect.DeepEqual(got, []string{"A=b"}) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestPod(t *testing.T) {
	p, err := parsePod(strings.Fields("--infra-conmon-pidfile=/run/p.pid --replace --exit-policy stop --userns keep-id --publish 8988:8988 " +
		"--label a=b --shm-size 128m --hostname media -v /srv/m:/media:ro --infra-name media-infra --name media --share +pid")...)
	if err != nil {
		t.Fatal(err)
	}
	want := &Pod{
		Name: "media", Replace: true, Infra: true, InfraName: "media-infra", MainPIDFile: "/run/p.pid", ExitPolicy: "stop",
		Share: []string{"ipc", "net", "uts", "pid"}, Labels: map[string]string{"a": "b", "PODMAN_SYSTEMD_UNIT": "web.service"},
		ShmSize:    ptr(int64(128 << 20)),
		Networking: Networking{Publish: []PortMapping{{HostPort: 8988, ContainerPort: 8988, Range: 1, Protocol: "tcp"}}, Hostname: "media"},
		IDMapping:  IDMapping{UserNS: UserNS{Mode: UserKeepID}},
		Mounts:     []Mount{{Type: MountBind, Source: "/srv/m", Destination: "/media", Options: []string{"ro"}}},
	}
	if !reflect.DeepEqual(p, want) {
		t.Errorf("got  %+v\nwant %+v", p, want)
	}
	if p, err := parsePod("--share", "none", "web"); err != nil || p.Name != "web" || len(p.Share) != 0 || p.ExitPolicy != "continue" {
		t.Errorf("got %+v, %v", p, err)
	}
	p, err = parsePod(strings.Fields("--memory 1g --cpus 1.5 --blkio-weight 500 --device-read-bps /dev/sda:1mb --shm-size 1m media")...)
	if err != nil || !p.Limits.Any() || *p.Limits.Memory != 1<<30 || *p.Limits.CPUs != 1.5 || len(p.Limits.DeviceReadBPS) != 1 || p.Limits.ShmSize != nil || *p.ShmSize != 1<<20 {
		t.Errorf("%+v, %v", p, err)
	}
	if p, err := parsePod("--shm-size", "1m", "--memory", "0", "media"); err != nil || p.Limits.Any() {
		t.Errorf("%+v, %v", p, err)
	}
	for args, want := range map[string]string{
		"a b":                                   "takes one name",
		"--name a b":                            "two names",
		"--infra=false --publish 80:80":         "--infra=false and --publish exclude each other",
		"--infra-image x":                       "built in",
		"--share net,user":                      `"user" is not a namespace`,
		"--memory 1g --memory-swap 1m --name x": "cannot be less than --memory",
		"--memory-reservation 1g --name x":      "unknown flag --memory-reservation",
		"--share cgroup --name x":               "leave cgroup out",
		"--exit-policy never":                   "expected stop or continue",
		"--network web:host_interface_name=a/b": "option host_interface_name of network web",
		"--replace":                             "--replace needs --name",
		"--name x --hosts-file image":           "a pod has no image",
		"--rm":                                  "unknown flag --rm",
		"--name x --share-parent":               "are in one slice",
		"--dns none --dns 1.1.1.1 --name x":     "--dns none",
	} {
		if _, err := parsePod(strings.Fields(args)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", args, err, want)
		}
	}
}

func TestInherit(t *testing.T) {
	p, err := parsePod(strings.Fields("--name p --security-opt no-new-privileges --security-opt seccomp=/pod --security-opt mask=/a --sysctl net.a=1,net.b=1 --device /dev/fuse --pid host --uts private")...)
	if err != nil {
		t.Fatal(err)
	}
	c, err := parseContainer(strings.Fields("--pod p --security-opt seccomp=/own --security-opt mask=/b --sysctl net.b=2 --uts host x")...)
	if err != nil {
		t.Fatal(err)
	}
	c.Inherit(p)
	if !c.NoNewPrivileges || c.Seccomp != "/own" || !reflect.DeepEqual(c.Mask, []string{"/a", "/b"}) || c.PIDNS.Mode != "host" || c.UTSNS.Mode != "host" ||
		!reflect.DeepEqual(c.Sysctls, map[string]string{"net.a": "1", "net.b": "2"}) || len(c.Devices) != 1 || len(p.Sysctls) != 2 || p.Sysctls["net.b"] != "1" {
		t.Errorf("%+v", c)
	}
}

// written are mappings as people write them.
func written(words ...string) (m []IDMap) {
	for _, w := range words {
		one, err := ParseIDMap(w)
		if err != nil {
			panic(err)
		}
		m = append(m, one)
	}
	return m
}

func TestVolumesFrom(t *testing.T) {
	from, err := ParseVolumesFrom("web:ro,z")
	if err != nil {
		t.Fatal(err)
	}
	got := from.Apply([]Mount{{Type: MountBind, Source: "/a", Destination: "/a", Options: []string{"rw", "nodev"}, Chown: true}, {Type: MountTmpfs, Destination: "/t"}, {Type: MountVolume, Source: "v", Destination: "/v/"}},
		[]Mount{{Type: MountBind, Source: "/mine", Destination: "/v"}})
	want := []Mount{{Type: MountBind, Source: "/a", Destination: "/a", Options: []string{"nodev", "ro"}, Relabel: "z", NoCopy: true}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	for _, bad := range []string{"", ":ro", "web:U"} {
		if _, err := ParseVolumesFrom(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestResolve(t *testing.T) {
	alice := Own{UID: 1000, GID: 1000}
	for name, tc := range map[string]struct {
		m          IDMapping
		own        Own
		total      uint32
		uids, gids []IDRange
		err        string
	}{
		"host":                     {IDMapping{UserNS: UserNS{Mode: UserHost}}, alice, 65537, nil, nil, ""},
		"nothing said":             {IDMapping{}, alice, 65537, nil, nil, ""},
		"keep-id":                  {IDMapping{UserNS: UserNS{Mode: UserKeepID}}, alice, 65537, []IDRange{{0, 1, 1000}, {1000, 0, 1}, {1001, 1001, 64536}}, []IDRange{{0, 1, 1000}, {1000, 0, 1}, {1001, 1001, 64536}}, ""},
		"keep-id as root inside":   {IDMapping{UserNS: UserNS{Mode: UserKeepID, UID: ptr(uint32(0)), GID: ptr(uint32(5))}}, alice, 10, []IDRange{{0, 0, 1}, {1, 1, 9}}, []IDRange{{0, 1, 5}, {5, 0, 1}, {6, 6, 4}}, ""},
		"keep-id with a size":      {IDMapping{UserNS: UserNS{Mode: UserKeepID, UID: ptr(uint32(2)), GID: ptr(uint32(2)), Size: 4}}, alice, 65537, []IDRange{{0, 1, 2}, {2, 0, 1}, {3, 3, 1}}, []IDRange{{0, 1, 2}, {2, 0, 1}, {3, 3, 1}}, ""},
		"keep-id with one ID":      {IDMapping{UserNS: UserNS{Mode: UserKeepID}}, alice, 1, []IDRange{{1000, 0, 1}}, []IDRange{{1000, 0, 1}}, ""},
		"keep-id beyond the IDs":   {IDMapping{UserNS: UserNS{Mode: UserKeepID}}, Own{100000, 100000}, 3, []IDRange{{0, 1, 2}, {100000, 0, 1}}, []IDRange{{0, 1, 2}, {100000, 0, 1}}, ""},
		"keep-id at the very end":  {IDMapping{UserNS: UserNS{Mode: UserKeepID, UID: ptr(uint32(1<<32 - 1))}}, alice, 3, nil, nil, "lies too high"},
		"keep-id with a size more": {IDMapping{UserNS: UserNS{Mode: UserKeepID, Size: 70000}}, alice, 65537, nil, nil, "more than the 65537 there are"},
		"keep-id for root":         {IDMapping{UserNS: UserNS{Mode: UserKeepID}}, Own{}, 1<<32 - 1, nil, nil, ""},
		"a part of root's IDs":     {IDMapping{UserNS: UserNS{Mode: UserKeepID, Size: 9}}, Own{}, 1<<32 - 1, nil, nil, "leave size= out"},
		"a map for both":           {IDMapping{UIDMap: written("0:1:5", "5:0:1")}, alice, 100, []IDRange{{0, 1, 5}, {5, 0, 1}}, []IDRange{{0, 1, 5}, {5, 0, 1}}, ""},
		"a map beyond the IDs":     {IDMapping{UIDMap: written("0:0:101")}, alice, 100, nil, nil, "only 100 IDs to map to"},
		"a map without the owner":  {IDMapping{UIDMap: written("0:1:5")}, alice, 100, []IDRange{{0, 1, 5}}, []IDRange{{0, 1, 5}}, ""},
		"nomap":                    {IDMapping{UserNS: UserNS{Mode: UserNoMap}}, alice, 101, []IDRange{{0, 1, 100}}, []IDRange{{0, 1, 100}}, ""},
		"nomap as root":            {IDMapping{UserNS: UserNS{Mode: UserNoMap}}, Own{}, 1<<32 - 1, nil, nil, "root is none"},
		"nomap without IDs":        {IDMapping{UserNS: UserNS{Mode: UserNoMap}}, alice, 1, nil, nil, "there are none"},
		"a user more":              {IDMapping{UIDMap: written("+7:0")}, alice, 101, []IDRange{{0, 1, 7}, {7, 0, 1}, {8, 8, 93}}, []IDRange{{0, 1, 7}, {7, 0, 1}, {8, 8, 93}}, ""},
		"a group of the machine":   {IDMapping{GIDMap: written("+g50:@100030")}, alice, 101, []IDRange{{0, 0, 1}, {1, 1, 100}}, []IDRange{{0, 0, 1}, {1, 1, 30}, {31, 32, 19}, {50, 31, 1}, {51, 51, 50}}, ""},
		"IDs that go on elsewhere": {IDMapping{UIDMap: written("0:@1000", "1:@100000:3")}, alice, 101, []IDRange{{0, 0, 1}, {1, 1, 3}}, []IDRange{{0, 0, 1}, {1, 1, 3}}, ""},
		"a map across two ranges":  {IDMapping{UIDMap: written("0:0:100")}, alice, 101, []IDRange{{0, 0, 1}, {1, 1, 99}}, []IDRange{{0, 0, 1}, {1, 1, 99}}, ""},
		"a place taken from a map": {IDMapping{UIDMap: written("0:1:10", "+5:0:1")}, alice, 101, []IDRange{{0, 1, 5}, {5, 0, 1}, {6, 7, 4}}, []IDRange{{0, 1, 5}, {5, 0, 1}, {6, 7, 4}}, ""},
		"both sides taken":         {IDMapping{UIDMap: written("0:0:10", "+2:8:1")}, alice, 101, []IDRange{{0, 0, 1}, {1, 1, 1}, {2, 8, 1}, {3, 3, 5}, {9, 9, 1}}, []IDRange{{0, 0, 1}, {1, 1, 1}, {2, 8, 1}, {3, 3, 5}, {9, 9, 1}}, ""},
		"root adds to nothing":     {IDMapping{UIDMap: written("+0:1000:5")}, Own{}, 1<<32 - 1, []IDRange{{0, 1000, 5}}, []IDRange{{0, 1000, 5}}, ""},
		"somebody's ranges":        {IDMapping{SubUIDName: "it"}, Own{}, 1<<32 - 1, []IDRange{{0, 7, 2}}, []IDRange{{0, 9, 2}}, ""},
		"ranges for a user":        {IDMapping{SubGIDName: "it"}, alice, 101, nil, nil, "are for root"},
		"an ID that is not ours":   {IDMapping{UIDMap: written("0:@1001")}, alice, 101, nil, nil, "ID 1001 of this machine is not in the ranges"},
		"one ID twice":             {IDMapping{UIDMap: written("0:1:5", "4:9:1")}, alice, 101, nil, nil, "0:1:5 and 4:9:1 have IDs in common"},
		"no root":                  {IDMapping{UIDMap: written("5:0:1")}, alice, 101, nil, nil, "such as 0:1:5"},
	} {
		t.Run(name, func(t *testing.T) {
			outer := []IDRange{{0, tc.own.UID, 1}, {1, 100000, tc.total - 1}}
			if tc.own.UID == 0 {
				outer = []IDRange{{0, 0, tc.total}}
			}
			uids, gids, err := tc.m.Resolve(tc.own, Outer{UIDs: outer, GIDs: outer, Subordinate: func(string, string) (uids, gids []IDRange, err error) {
				return []IDRange{{0, 7, 2}}, []IDRange{{0, 9, 2}}, nil
			}})
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Fatalf("got %v, want %q", err, tc.err)
				}
				return
			}
			if err != nil || !reflect.DeepEqual(uids, tc.uids) || !reflect.DeepEqual(gids, tc.gids) {
				t.Errorf("got %v, %v, %v", uids, gids, err)
			}
		})
	}
}

// TestFit: each range of a mapping comes from one range of the namespace around it, whose IDs may
// come from several lines of /etc/subuid, in any order.
func TestFit(t *testing.T) {
	outer := Outer{
		UIDs: []IDRange{{1, 100000, 10}, {0, 1000, 1}, {11, 300000, 5}},
		GIDs: []IDRange{{0, 1000, 1}, {1, 100000, 15}},
	}
	for _, c := range []struct{ m, uids, gids []IDRange }{
		{nil, nil, nil},
		{[]IDRange{{0, 0, 16}}, []IDRange{{0, 0, 1}, {1, 1, 10}, {11, 11, 5}}, []IDRange{{0, 0, 1}, {1, 1, 15}}},
		{[]IDRange{{0, 8, 6}, {50, 1, 2}}, []IDRange{{0, 8, 3}, {3, 11, 3}, {50, 1, 2}}, []IDRange{{0, 8, 6}, {50, 1, 2}}},
		{[]IDRange{{0, 1, 10}}, []IDRange{{0, 1, 10}}, []IDRange{{0, 1, 10}}},
		{[]IDRange{{0, 90, 4}}, []IDRange{{0, 90, 4}}, []IDRange{{0, 90, 4}}}, // of nobody: the kernel refuses it
	} {
		if uids, gids := outer.Fit(c.m, c.m); !reflect.DeepEqual(uids, c.uids) || !reflect.DeepEqual(gids, c.gids) {
			t.Errorf("%v: got %v, %v", c.m, uids, gids)
		}
	}
	keep := IDMapping{UserNS: UserNS{Mode: UserKeepID}}
	want := []IDRange{{0, 1, 9}, {9, 0, 1}, {10, 10, 1}, {11, 11, 5}}
	if uids, _, err := keep.Resolve(Own{9, 9}, outer); err != nil || !reflect.DeepEqual(uids, want) {
		t.Errorf("keep-id: got %v, %v", uids, err)
	}
}

// TestGenerator proves that every flag the generator can emit for a container
// or a pod is taken.
func TestGenerator(t *testing.T) {
	fixed := map[string][]string{ // what keys without a Flag become; see section 6 of the reference
		"Container": {
			"--name=a --replace", "--rm", "--cgroups=split", "--cgroups no-conmon", "--sdnotify=conmon", "--sdnotify=container", "--sdnotify=healthy",
			"-d", "--security-opt=no-new-privileges", "--security-opt label=disable", "--security-opt label=nested", "--security-opt label=type:spc_t",
			"--security-opt label=filetype:usr_t", "--security-opt label=level:s0:c1,c2", "--security-opt apparmor=unconfined",
			"--security-opt seccomp=/a", "--security-opt mask=/a:/b", "--security-opt unmask=ALL", "--tmpfs /tmp:rw,size=512M,mode=1777",
			"--user 1000:1000", "--userns auto:uidmapping=0:1:2,size=5", "--userns keep-id:uid=1,gid=1", "-v systemd-data:/d", "--mount type=tmpfs,destination=/x",
			"--label io.containers.autoupdate=registry", "--expose 80-90/udp", "--env A", "--env-file /srv/env", "--secret a,type=env", "--pod p", "--rootfs",
			"--network systemd-web", "--network container:systemd-a", "--network host", "--device /dev/null:/dev/x:r", "--log-driver journald", "--entrypoint=",
		},
		"Pod": {
			"--infra-conmon-pidfile=/run/p.pid", "--name=a --replace", "--exit-policy stop", "--exit-policy continue", "--infra-name a-infra", "--name a",
			"--userns keep-id", "-v a:/b", "--network pasta", "--network systemd-web", "--label PODMAN_SYSTEMD_UNIT=x",
		},
	}
	for _, section := range []string{"Container", "Pod"} {
		var lines [][]string
		for _, l := range fixed[section] {
			lines = append(lines, strings.Fields(l))
		}
		for _, k := range keys.Lookup(section).Keys {
			switch {
			case k.Flag == "":
			case k.Kind == keys.Bool:
				lines = append(lines, []string{k.Flag}, []string{k.Flag + "=false"})
			case strings.HasSuffix(k.Flag, "="):
				lines = append(lines, []string{k.Flag + k.Example})
			default:
				for _, v := range k.Values {
					lines = append(lines, []string{k.Flag, v})
				}
				lines = append(lines, []string{k.Flag, k.Example})
			}
		}
		for _, line := range lines {
			var err error
			if slices.Contains([]string{"--ip", "--ip6", "--network-alias"}, line[0]) {
				line = append(line, "--network", "web")
			}
			if section == "Container" {
				_, err = parseContainer(append(line, "x")...)
			} else {
				_, err = parsePod(line...)
			}
			if err == nil {
				continue
			}
			var faults Faults
			if !errors.As(err, &faults) {
				t.Errorf("%s: %v", line, err)
				continue
			}
			for _, f := range faults {
				if !strings.Contains(f.Error(), "journal") {
					t.Errorf("%s: %v", line, f)
				}
			}
		}
	}
}

// TestEachFlagHasAnEffectOrAReason has each flag either do something or say why not.
func TestEachFlagHasAnEffectOrAReason(t *testing.T) {
	seen := map[string]on{}
	for _, r := range rows() {
		if (r.set == nil) == (r.refused == "") {
			t.Errorf("--%s must do something or be refused, not both", r.name)
		}
		if seen[r.name]&r.on != 0 {
			t.Errorf("--%s is there twice", r.name)
		}
		seen[r.name] |= r.on
		if r.set != nil && (r.usage == "" || r.kind != yesno && r.word == "") {
			t.Errorf("--%s has no usage", r.name)
		}
	}
}

func BenchmarkContainer(b *testing.B) {
	for b.Loop() {
		if _, err := parseContainer("--name", "systemd-web", "--replace", "--rm", "--cgroups=split", "--sdnotify=conmon", "-d", "-v", "data:/d", "--env", "A=b", "-p", "8080:80", "x"); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzValues has no value make the parser panic.
func FuzzValues(f *testing.F) {
	f.Add("127.0.0.1:80-81:80-81/udp")
	f.Add("type=bind,src=/a,dst=/b")
	f.Add("keep-id:uid=1,gid=2")
	f.Fuzz(func(t *testing.T, v string) {
		set := pflag.NewFlagSet("run", pflag.ContinueOnError)
		flags := ContainerFlags(set)
		set.VisitAll(func(fl *pflag.Flag) {
			if _, ours := fl.Value.(*flag); ours && fl.Name != "label-file" && fl.Name != "env-file" {
				if err := fl.Value.Set(v); err != nil {
					t.Errorf("--%s: %v", fl.Name, err)
				}
			}
		})
		if _, err := flags.Container([]string{"x"}, host()); err == nil && v == "" {
			t.Error("an empty value for everything is no error")
		}
		if m, err := ParsePort(v); err == nil {
			if again, err := ParsePort(m.String()); err != nil || again != m {
				t.Errorf("%q reads as %s, which reads as %s, %v", v, m, again, err)
			}
		}
	})
}
