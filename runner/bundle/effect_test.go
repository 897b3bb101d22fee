// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/podunit/podunit/runner/spec"
	"github.com/spf13/pflag"
)

// effect is what shows that a flag of run does something.
type effect struct {
	// with and without are command lines, without the image, whose configurations must differ.
	// Empty is the bare flag with a value of true, and nothing.
	with, without string
	// elsewhere names packages that do it, where the configuration of the runtime does not show it:
	// each must have this text in its code, as package "service" with " .Replace".
	elsewhere map[string]string
}

func at(pairs ...string) effect {
	e := effect{elsewhere: map[string]string{}}
	for i := 0; i < len(pairs); i += 2 {
		e.elsewhere[pairs[i]] = pairs[i+1]
	}
	return e
}

// effects are all flags of run, each with its proof.
var effects = map[string]effect{
	"name": at("container", "s.Name"), "replace": at("service", ".Replace"), "rm": at("service", "Spec.Remove", "container", "Spec.Remove"), "detach": at("cmd/container", ".Detach"),
	"interactive": at("service", ".Interactive"), "tty": {}, "sig-proxy": at("service", ".SigProxy"), "cgroups": at("service", ".Cgroups"), "sdnotify": at("service", ".SdNotify"),
	"preserve-fds": at("service", ".PreserveFDs"), "preserve-fd": at("service", ".PreserveFD"), "systemd": {with: "--systemd=always"}, "restart": at("service", "Spec.Restart"), "cidfile": at("service", ".CIDFile"), "pidfile": at("service", ".PIDFile"),
	"attach": at("spec", "len(c.Attach)"), "conmon-pidfile": at("service", ".MainPIDFile"), "rmi": at("service", "Spec.RemoveImage"), "timeout": at("service", "Spec.MaxRun"), "stop-signal": at("container", ".StopSignal"), "stop-timeout": at("container", ".StopTimeout", "service", ".StopTimeout"),
	"label": at("container", "r.Spec.Labels"), "label-file": at("spec", `"label-file"`, "container", "r.Spec.Labels"), "annotation": {with: "--annotation=a=b"}, "log-driver": at("container", ".Log.Driver"),
	"log-opt": at("container", ".MaxSize"),
	"rootfs":  at("container", ".Rootfs"), "pull": at("service", ".Policy"), "retry": at("image/registry", ".Retry"), "retry-delay": at("image/registry", ".RetryDelay"), "platform": at("spec", `"platform"`, "image/registry", ".Variant"),
	"os": at("image/registry", ".OS"), "arch": at("image/registry", ".Arch"), "variant": at("image/registry", ".Variant"), "tls-verify": at("image/registry", ".TLSVerify"), "authfile": at("image/registry", ".AuthFile"),
	"creds": at("service", ".Creds"), "cert-dir": at("image/registry", ".CertDir"), "quiet": at("service", ".Quiet"),
	"entrypoint": {with: "--entrypoint=/bin/x"}, "env": {with: "--env=A=b"}, "env-file": {with: "--env-file=testdata-env"}, "env-host": {}, "http-proxy": {with: "", without: "--http-proxy=false"},
	"unsetenv": {with: "--unsetenv=PATH"}, "unsetenv-all": {}, "user": {with: "--user=5"}, "group-add": {with: "--group-add=5"}, "workdir": {with: "--workdir=/srv"}, "umask": {with: "--umask=0027"},
	"tz": at("bundle", ".Timezone"), "init": {}, "init-path": at("container", ".InitPath"), "passwd": at("container", ".Passwd"),
	"privileged": {}, "cap-add": {with: "--cap-add=net_admin"}, "cap-drop": {with: "--cap-drop=all"}, "security-opt": {with: "--security-opt=no-new-privileges"}, "read-only": {},
	"read-only-tmpfs": {with: "--read-only --read-only-tmpfs=false", without: "--read-only"}, "sysctl": {with: "--sysctl=kernel.msgmax=65536"},
	"memory": {with: "--memory=1g"}, "memory-swap": {with: "--memory=1g --memory-swap=3g", without: "--memory=1g"}, "memory-reservation": {with: "--memory-reservation=1g"},
	"memory-swappiness": at("bundle", "MemorySwappiness"), "oom-kill-disable": at("bundle", "OOMKillDisable"), "oom-score-adj": {with: "--oom-score-adj=500"}, "cpus": {with: "--cpus=2"},
	"cpu-shares": {with: "--cpu-shares=5"}, "cpu-quota": {with: "--cpu-quota=5000"}, "cpu-period": {with: "--cpu-period=5000"}, "cpu-rt-runtime": at("bundle", "CPURTRuntime"), "cpu-rt-period": at("bundle", "CPURTPeriod"),
	"cpuset-cpus": {with: "--cpuset-cpus=0"}, "cpuset-mems": {with: "--cpuset-mems=0"}, "blkio-weight": {with: "--blkio-weight=500"}, "blkio-weight-device": at("bundle", ".BlkioWeightDevice"),
	"device-read-bps": at("bundle", ".DeviceReadBPS"), "device-write-bps": at("bundle", ".DeviceWriteBPS"), "device-read-iops": at("bundle", ".DeviceReadIOPS"), "device-write-iops": at("bundle", ".DeviceWriteIOPS"),
	"pids-limit": {with: "--pids-limit=5"}, "cgroup-conf": {with: "--cgroup-conf=memory.high=5"}, "shm-size": {with: "--shm-size=1m"}, "ulimit": {with: "--ulimit=nofile=5:6"},
	"network": at("service", ".Networks"), "network-alias": at("service", ".Aliases"), "ip": at("service", ".IP"), "ip6": at("service", ".IP6"), "mac-address": at("service", ".MAC"), "publish": at("service", ".Publish"),
	"publish-all": at("service", ".PublishAll"), "expose": at("service", ".Expose"), "hostname": at("container", "r.Spec.Hostname"), "add-host": at("service", ".AddHosts"), "no-hosts": at("service", ".NoHosts"),
	"no-hostname": at("container", ".NoHostname"), "hosts-file": at("service", ".HostsFile"), "dns": at("service", ".DNS"), "dns-search": at("service", ".DNSSearch"), "dns-option": at("service", ".DNSOptions"),
	"userns": at("container", "m.Resolve(own"), "uidmap": at("container", "m.Resolve(own"), "gidmap": at("container", "m.Resolve(own"), "subuidname": at("container", "Subordinate: subordinate"), "subgidname": at("container", "Subordinate: subordinate"),
	"pod": at("service", "Spec.Pod"), "pid": at("container", "r.Spec.PIDNS"), "uts": at("container", "r.Spec.UTSNS"), "ipc": {with: "--ipc=none"}, "cgroupns": at("container", "r.Spec.CgroupNS"),
	"volume": {with: "--volume=/a:/b"}, "mount": {with: "--mount=type=bind,source=/a,destination=/b"}, "volumes-from": at("service", "Spec.VolumesFrom"), "tmpfs": {with: "--tmpfs=/x"}, "image-volume": at("container", ".ImageVolumes"),
	"device": {with: "--device=/dev/null:/dev/x"}, "gpus": at("spec", "CDI: true", "container", "Record.Spec.CDI()"), "device-cgroup-rule": at("bundle", ".DeviceRules"), "secret": at("container", ".Secrets", "service", ".Secrets"),
	"health-cmd": at("health", ".Health"), "health-interval": at("health", ".Interval"), "health-timeout": at("health", ".Timeout"), "health-start-period": at("health", ".StartPeriod"), "health-retries": at("health", ".Retries"),
	"health-on-failure": at("health", ".OnUnhealthy", "service", ".OnFailure"), "health-log-destination": at("service", ".LogDestination"), "health-max-log-count": at("health", ".MaxLogCount"),
	"health-max-log-size": at("health", ".MaxLogSize"), "health-startup-cmd": at("health", ".StartupHealth"), "health-startup-interval": at("health", ".Interval"), "health-startup-timeout": at("health", ".Timeout"),
	"health-startup-retries": at("health", ".Retries"), "health-startup-success": at("health", ".Success"), "no-healthcheck": at("spec", "noHealth", "health", ".Health"),
}

// TestEveryFlagHasAnEffect walks the flags of run: each that is not refused changes the runtime's
// configuration, or is read where it acts.
func TestEveryFlagHasAnEffect(t *testing.T) {
	if err := os.WriteFile("testdata-env", []byte("FROM=file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	defer os.Remove("testdata-env")
	fs := pflag.NewFlagSet("run", pflag.ContinueOnError)
	spec.ContainerFlags(fs)
	known := map[string]bool{"help": true}
	fs.VisitAll(func(f *pflag.Flag) {
		known[f.Name] = true
		if f.Hidden || f.Name == "help" { // refused, or another name
			return
		}
		if _, ok := effects[f.Name]; !ok {
			t.Errorf("--%s: nobody says what it does", f.Name)
		}
	})
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "srv"), 0o755); err != nil { // for --workdir
		t.Fatal(err)
	}
	config := func(name, words string) any {
		fs := pflag.NewFlagSet("run", pflag.ContinueOnError)
		flags := spec.ContainerFlags(fs)
		if err := fs.Parse(append(strings.Fields(words), "image")); err != nil {
			t.Fatal(err)
		}
		c, err := flags.Container(fs.Args(), spec.Host{Dir: dir, Environ: []string{"ON=host", "http_proxy=p"}})
		if err != nil {
			t.Fatalf("--%s: %v", name, err)
		}
		in := Input{ID: strings.Repeat("0123456789abcdef", 4), Spec: c, Host: machine(), Rootfs: root, Hostname: "box", Image: &v1.ImageConfig{Cmd: []string{"sh"}}, Mounts: resolved(c), Init: "/usr/bin/init",
			Namespaces: Namespaces{Net: "/run/net"}, Cgroup: Cgroup{Path: "/x", Controllers: strings.Fields("cpu cpuset io memory pids"), Swap: true}}
		if err := in.SetTimezone(0, 0); err != nil {
			t.Fatalf("--%s: %v", name, err)
		}
		out, _, err := Build(in)
		if err != nil {
			t.Fatalf("--%s: %v", name, err)
		}
		out.Root.Path = "/rootfs"
		return out
	}
	for name, e := range effects {
		if !known[name] {
			t.Errorf("there is no --%s any more", name)
			continue
		}
		for pkg, text := range e.elsewhere {
			if !inCode(t, filepath.Join("..", pkg), text) {
				t.Errorf("--%s: package %s does not read %s", name, pkg, text)
			}
		}
		if e.elsewhere == nil {
			if e.with == "" && e.without == "" {
				e.with = "--" + name
			}
			if reflect.DeepEqual(config(name, e.with), config(name, e.without)) {
				t.Errorf("--%s changes nothing", name)
			}
		}
	}
}

// inCode reports whether the code of a package, its tests left out, has a text.
func inCode(t *testing.T, dir, text string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: no code, %v", dir, err)
	}
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(data), text) {
			return true
		}
	}
	return false
}

// TestMountMap: what the option idmap maps a file system's IDs to.
func TestMountMap(t *testing.T) {
	container := []spec.IDRange{{Container: 0, Host: 100, Size: 10}, {Container: 10, Host: 500, Size: 10}}
	for _, c := range []struct {
		own  []spec.MountIDs
		want []spec.IDRange // nil is an error
	}{
		{nil, container},
		{[]spec.MountIDs{{FS: 0, To: 7, Size: 3}}, []spec.IDRange{{Container: 0, Host: 7, Size: 3}}},
		{[]spec.MountIDs{{FS: 1000, To: 8, Size: 4, Inside: true}}, []spec.IDRange{{Container: 1000, Host: 108, Size: 2}, {Container: 1002, Host: 500, Size: 2}}},
		{[]spec.MountIDs{{FS: 0, To: 18, Size: 4, Inside: true}}, nil},
	} {
		got, err := MountMap(c.own, container)
		if !slices.Equal(got, c.want) || (err != nil) != (c.want == nil) {
			t.Errorf("%v: %v, %v, want %v", c.own, got, err, c.want)
		}
	}
	own := spec.Mount{IDMap: true, UIDMap: []spec.MountIDs{{Size: 1}}, GIDMap: []spec.MountIDs{{Size: 1}}}
	if err := CheckIDMap(own, false, false); err != nil {
		t.Errorf("of the machine's IDs, in no user namespace: %v", err)
	}
	own.GIDMap[0].Inside = true
	for name, err := range map[string]error{
		"of the container's": CheckIDMap(own, false, false), "a user's": CheckIDMap(own, true, true), "without mappings": CheckIDMap(spec.Mount{IDMap: true}, false, false),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
