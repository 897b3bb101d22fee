// SPDX-License-Identifier: Apache-2.0

package check

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/podunit/podunit/generator/convert"
	"github.com/podunit/podunit/generator/keys"
	"github.com/podunit/podunit/generator/quadlet"
	"github.com/podunit/podunit/generator/report"
	"github.com/podunit/podunit/generator/unitfile"
	"github.com/podunit/podunit/runner/kube/manifest"
	"golang.org/x/sys/unix"
)

// files are unit files by name.
type files map[string]string

func (f files) inputs() []quadlet.Input {
	var out []quadlet.Input
	for _, name := range slices.Sorted(maps.Keys(f)) {
		in := quadlet.Input{Path: "/q/" + name, Dir: "/q"}
		in.File, in.Faults = unitfile.Parse(in.Path, []byte(f[name]))
		out = append(out, in)
	}
	return out
}

// fakeHost is a machine with alice, who has subordinate ids and no linger, and a few files.
func fakeHost() Host {
	there := map[string]string{
		"/q/web.env": "", "/q/app.yml": "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {container: []}\n", "/srv": "", "/home/alice/media": "",
		"/usr/share/zoneinfo/UTC": "", "/usr/share/zoneinfo/Asia/Shanghai": "", "/dev/fuse": "",
		"/etc/systemd/user/hidden.service": "", "/usr/lib/systemd/user/shipped.service": "", "/usr/lib/systemd/system/ssh.service": "", "/home/alice/.config/systemd/user/own.service": "",
	}
	return Host{
		Exists:     func(path string) bool { _, ok := there[path]; return ok },
		ReadFile:   func(path string) ([]byte, error) { return []byte(there[path]), nil },
		Matches:    func(pattern string) bool { return pattern == "/srv/*" || pattern == "/q/*.env" },
		Secret:     func(name string) bool { return name == "known" },
		UserHome:   func(name string) (string, bool) { return "/home/" + name, name == "alice" || name == "bob" },
		SubIDs:     func(name string, _ bool) bool { return name == "alice" },
		AutoUser:   func() string { return "pool" },
		Linger:     func(name string) bool { return name == "bob" },
		Systemd:    func() int { return 257 },
		User:       "alice",
		Home:       "/home/alice",
		RuntimeDir: "/run/user/1000",
	}
}

func TestCheck(t *testing.T) {
	container := func(lines ...string) string {
		return "[Container]\nImage=localhost/a\n" + strings.Join(lines, "\n") + "\n"
	}
	for _, c := range []struct {
		name   string
		files  files
		system bool
		want   []string // severity: part of the message
	}{
		{"all is well", files{"a.container": container("PublishPort=127.0.0.1:8080-8081:80-81/tcp", "Volume=%h/media:/m:z,ro", "EnvironmentFile=web.env", "Timezone=Asia/Shanghai")}, false, nil},
		{"the generator's errors come first", files{"a.container": "[Container]\nImag=x\n"}, false, []string{"error: unsupported key 'Imag'", "error: no Image or Rootfs"}},
		{"a port too high", files{"a.container": container("PublishPort=80:65536")}, false, []string{`error: PublishPort=80:65536 is refused by the runner: container port: "65536" is not a port from 1 to 65535`}},
		{"a range backwards", files{"a.container": container("PublishPort=90-80:90-80")}, false, []string{"error: PublishPort=90-80:90-80 is refused by the runner: container port: the range 90-80 runs backwards"}},
		{"ranges of different length", files{"a.container": container("PublishPort=80-82:80-81")}, false, []string{"80-82 is 3 ports on the host but 80-81 is 2 in the container"}},
		{"an unknown protocol", files{"a.container": container("PublishPort=80:80/tpc")}, false, []string{`"tpc" is not a protocol`}},
		{"ranges of which one is a single port", files{"a.container": container("PublishPort=80-82:80")}, false, []string{"80-82 is 3 ports on the host but 80 is 1 in the container"}},
		{"any host port", files{"a.container": container("PublishPort=0:80", "PublishPort=127.0.0.1:80", "PublishPort=[::1]:80", "PublishPort=[::1]::80", "PublishPort=:80/UDP")}, false, nil},
		{"several in one word", files{"a.container": container("AddCapability=CAP_CHOWN,net_raw", "DropCapability=kill,foo")}, false, []string{`error: DropCapability=kill,foo is refused by the runner: "foo" is not a capability`}},
		{"values of other versions", files{"a.container": container("Pull=Always", "AutoUpdate=image", "Volume=/srv:/d:"), "b.build": "[Build]\nImageTag=localhost/b\nFile=/srv\nPull=true\n"}, false, nil},
		{"a bare IPv6 address", files{"a.container": container("PublishPort=::1:80:80")}, false, []string{"an IPv6 address stands in brackets: [::1]"}},
		{"a variable port", files{"a.container": container("PublishPort=$PORT:80")}, false, nil},
		{"an upper-case image", files{"a.container": "[Container]\nImage=localhost/App\n"}, false, []string{"error: Image=localhost/App is not an image reference"}},
		{"a digest cut short", files{"a.container": "[Container]\nImage=localhost/a@sha256:12\n"}, false, []string{"is not an image reference"}},
		{"a bad tag", files{"a.container": "[Container]\nImage=localhost/a:la!test\n"}, false, []string{"is not an image reference"}},
		{"a duration without unit", files{"a.container": container("HealthInterval=30")}, false, []string{"error: HealthInterval=30 is a duration without a unit"}},
		{"no duration", files{"a.container": container("HealthTimeout=soon")}, false, []string{"is not a duration"}},
		{"no size", files{"a.container": container("Memory=1 gig", "ShmSize=100m")}, false, []string{`error: Memory=1 gig is refused by the runner: "1 gig" is not a size`}},
		{"no signal", files{"a.container": container("StopSignal=SIGTREM")}, false, []string{`error: StopSignal=SIGTREM is refused by the runner: "SIGTREM" is not a signal`}},
		{"signals", files{"a.container": container("StopSignal=RTMIN+3", "ReloadSignal=hup")}, false, nil},
		{"no capability", files{"a.container": container("AddCapability=NET_ADMINN CAP_CHOWN all")}, false, []string{`error: AddCapability=NET_ADMINN is refused by the runner: "net_adminn" is not a capability`}},
		{"a misspelt value", files{"a.container": container("Pull=newest", "AutoUpdate=registri")}, false, []string{"error: Pull=newest is not a known value", "error: AutoUpdate=registri is not a known value"}},
		{"no boolean", files{"a.container": container("ReadOnly=ture", "RunInit=")}, false, []string{"warning: ReadOnly=ture is read as false", "warning: RunInit= is read as false"}},
		{"no boolean in [Quadlet]", files{"a.container": container("[Quadlet]", "DefaultDependencies=ture")}, false, []string{"warning: DefaultDependencies=ture is read as false"}},
		{"a service of the distribution", files{"shipped.container": container(), "x.volume": "[Volume]\nServiceName=shipped2\n"}, false, []string{"warning: the service takes the place of /usr/lib/systemd/user/shipped.service"}},
		{"a service of the system", files{"ssh.container": container()}, true, []string{"warning: the service takes the place of /usr/lib/systemd/system/ssh.service"}},
		{"a service that is hidden", files{"hidden.container": container(), "b.container": container("ServiceName=own")}, false,
			[]string{"warning: the service has no effect, /etc/systemd/user/hidden.service hides it", "warning: the service has no effect, /home/alice/.config/systemd/user/own.service hides it"}},
		{"a dependency on nothing", files{"a.container": "[Unit]\nAfter=data.volum network-online.target dev-sda1.device\nWants=x %i.service foo@%i\n" + container(), "data.volume": ""}, false,
			[]string{"warning: After=data.volum has no effect", "warning: Wants=x has no effect"}},
		{"a misspelt key of [Install]", files{"a.container": container("[Install]", "WantdBy=x.target")}, false, []string{"warning: key 'WantdBy' in group 'Install' has no effect"}},
		{"no time zone", files{"a.container": container("Timezone=Mars/Olympus")}, false, []string{"error: Timezone=Mars/Olympus is not a known time zone"}},
		{"an unknown mount option", files{"a.container": container("Volume=/srv:/d:readonly")}, false, []string{`"readonly" is not an option of a bind mount`}},
		{"a relative path inside", files{"a.container": container("Volume=data:d")}, false, []string{`"d" is not an absolute path inside the container`}},
		{"an unknown mount type", files{"a.container": container("Mount=type=bnd,src=/srv,dst=/d")}, false, []string{`"bnd" is not a type`}},
		{"a volume as a mount", files{"a.container": container("Mount=/home:/home")}, false, []string{"error: source cannot be empty"}},
		{"bad addresses", files{"a.container": container("IP=10.0.0.256", "IP6=10.0.0.1", "DNS=resolver", "AddHost=db")}, false,
			[]string{"is not an IPv4 address", "is not an IPv6 address", "is not an IP address", "error: AddHost=db is refused by the runner: the address is missing"}},
		{"bad networks", files{"a.network": "[Network]\nSubnet=10.0.0.5/24\nIPRange=10.0.0.9-10.0.0.2\nDriver=brigde\n"}, false,
			[]string{"has bits set after its prefix", "ends before it begins", "warning: Driver=brigde is not a known value"}},
		{"missing files", files{"a.container": container("EnvironmentFile=none.env /etc/none.env"), "b.kube": "[Kube]\nYaml=none.yml\n"}, false,
			[]string{"error: EnvironmentFile=none.env names a file that does not exist: /q/none.env", "warning: EnvironmentFile=/etc/none.env names", "error: Yaml=none.yml names a file that does not exist"}},
		{"missing host paths", files{"a.container": container("Volume=./none:/d", "Mount=type=bind,src=/none,dst=/e", "AddDevice=/dev/none")}, false,
			[]string{"warning: the host path /q/none does not exist", "warning: the host path /none does not exist", "warning: the device /dev/none does not exist"}},
		{"missing parts of a build", files{
			"a.build": "[Build]\nImageTag=localhost/a\nSetWorkingDirectory=unit\nFile=None\n", "b.build": "[Build]\nImageTag=localhost/b\nSetWorkingDirectory=./none\n",
			"c.build": "[Build]\nImageTag=localhost/c\nSetWorkingDirectory=/none\nFile=/none/F\n", "d.build": "[Build]\nImageTag=localhost/d\nSetWorkingDirectory=https://example.com/none.git\n",
			"e.build": "[Build]\nImageTag=localhost/e\nSetWorkingDirectory=unit\nFile=./web.env\n", "f.build": "[Build]\nImageTag=localhost/f\nFile=None\n[Service]\nWorkingDirectory=/x\n",
		}, false, []string{"error: File=None names a file that does not exist: /q/None", "error: SetWorkingDirectory=./none names a file that does not exist: /q/none",
			"warning: SetWorkingDirectory=/none names", "warning: File=/none/F names"}},
		{"missing directories of others", files{"a.container": "[Container]\nRootfs=/none:O\n", "b.volume": "[Volume]\nType=bind\nDevice=/none\n", "c.volume": "[Volume]\nType=nfs\nDevice=host:/none\n", "d.volume": "[Volume]\nDevice=/srv\nOptions=bind\n"}, false,
			[]string{"warning: the host path /none does not exist", "warning: the host path /none does not exist"}},
		{"a profile that is missing", files{"a.container": container("SeccompProfile=%h/none.json")}, false, []string{"warning: SeccompProfile=%h/none.json names a file that does not exist: /home/alice/none.json"}},
		{"what a start would find out", files{"a.container": container("AppArmor=strict"), "b.container": container("CgroupsMode=disabled"), "c.container": container("Network=none", "AddHost=a:host-gateway"), "d.container": container("Pod=p.pod", "HostName=x"), "e.container": container("Pod=p.pod", "HostName=x", "PodmanArgs=--uts=private"), "p.pod": "[Pod]\n"}, false,
			[]string{"error: AppArmor=strict is refused by the runner: --security-opt apparmor=strict: only root", "error: CgroupsMode=disabled is refused", "error: AddHost=a:host-gateway is refused", "warning: HostName=x is refused by the runner: --hostname: the pod has one host name"}},
		{"a namespace for root", files{"a.container": container("UserNS=auto:size=2000")}, true, []string{"warning: UserNS=auto:size=2000 takes IDs of pool, who has no range"}},
		{"a namespace for a user", files{"a.container": container("UserNS=auto:size=2000")}, false, nil},
		{"a profile of root's", files{"a.container": container("AppArmor=strict")}, true, nil},
		{"what the YAML says", files{"a.kube": "[Kube]\nYaml=app.yml\n"}, false, []string{"error: spec.containers: the pod has no containers", "error: spec.container: unknown field"}},
		{"a port published twice", files{"a.container": container("PublishPort=8080:80"), "b.pod": "[Pod]\nPublishPort=127.0.0.1:8080:81\n"}, false, []string{"error: host port 8080/tcp is published by a.container too"}},
		{"a port on two addresses", files{"a.container": container("PublishPort=127.0.0.2:8080:80"), "b.pod": "[Pod]\nPublishPort=127.0.0.1:8080:81\nPublishPort=8080:81/udp\n"}, false, nil},
		{"a port of units that conflict", files{"a.container": "[Unit]\nConflicts=b.container\n" + container("PublishPort=8080:80"), "b.container": container("PublishPort=8080:80")}, false, nil},
		{"a name used twice", files{"a.container": container("ContainerName=x"), "b.pod": "[Pod]\nPodName=x\n"}, false, []string{"error: the container or pod name x is used by a.container too"}},
		{"a volume shared", files{"a.volume": "[Volume]\nVolumeName=x\n", "b.volume": "[Volume]\nVolumeName=x\n"}, false, []string{"warning: the volume name x is used by"}},
		{"two wait for each other", files{"a.container": "[Unit]\nAfter=b.container\n" + container(), "b.container": "[Unit]\nAfter=a.container\n" + container()}, false, []string{"error: units wait for each other: a.container, b.container"}},
		{"a port on a pod's member", files{"a.container": container("Pod=p.pod", "PublishPort=80:80"), "p.pod": "[Pod]\n"}, false, []string{"error: PublishPort= belongs to the pod"}},
		{"ports on the host's network", files{"a.container": container("Network=host", "PublishPort=80:80")}, false, []string{"warning: PublishPort= has no effect"}},
		{"a grace too long", files{"a.container": container("StopTimeout=120", "[Service]", "TimeoutStopSec=90")}, false, []string{"warning: StopTimeout=120 is not below the 90 s"}},
		{"User= of a user's service", files{"a.container": container("[Service]", "User=bob")}, false, []string{"warning: using key User", "error: User= has no place in a user's service"}},
		{"an unknown account", files{"a.container": container("[Service]", "User=carol")}, true, []string{"warning: using key User", "error: User=carol is no account"}},
		{"an account without ids", files{"a.container": container("[Service]", "User=bob")}, true, []string{"warning: using key User", "warning: bob has no subordinate ids"}},
		{"a dynamic user", files{"a.container": container("[Service]", "DynamicUser=yes")}, true, []string{"warning: using key DynamicUser", "error: DynamicUser= cannot run containers"}},
		{"no linger", files{"a.container": container("[Install]", "WantedBy=default.target")}, false, []string{"warning: services of alice start with the first login"}},
		{"a target of the system", files{"a.container": container("[Install]", "WantedBy=multi-user.target")}, false, []string{"warning: user managers have no multi-user.target"}},
		{"unknown ids", files{"a.container": container("SubUIDMap=bob")}, false, []string{"error: SubUIDMap=bob has no range in /etc/subuid"}},
		{"a deprecated key", files{"a.container": container("RemapUsers=keep-id")}, false, []string{"warning: RemapUsers= is deprecated"}},
		{"an odd name", files{"a.container": container("ContainerName=-x")}, false, []string{"error: ContainerName=-x is refused by the runner: a name begins with a letter or digit"}},
		{"names after odd file names", files{"a:b.container": container(), "c@d:e.volume": "", "f\\x2dg.network": "", "ok@.container": container(), "ok@.volume": "", "ok@i.network": ""}, false,
			[]string{"error: the container would be called systemd-a:b, which", "error: the volume would be called systemd-c-d:e, which", `error: the network would be called systemd-f\x2dg, which`}},
		{"a pod of a template", files{"a@.pod": "", "b@.pod": "[Pod]\nPodName=b-%i\n"}, false, []string{"error: the pod would be called systemd-a@, which is not a valid name"}},
		{"a sysctl without value", files{"a.container": container("Sysctl=net.x")}, false, []string{"error: Sysctl=net.x is refused by the runner: it must have a name and a value"}},
		{"a limit", files{"a.container": container("Ulimit=nofiles=1", "Ulimit=nofile=1:2", "Ulimit=host")}, false, []string{"error: Ulimit=nofiles=1 is refused by the runner: "}},
		{"a namespace mode", files{"a.container": container("UserNS=keepid")}, false, []string{"error: UserNS=keepid is refused by the runner: "}},
		{"a policy of docker's", files{"a.container": container("[Service]", "Restart=unless-stopped")}, false, []string{"warning: Restart=unless-stopped is no value of systemd's: it drops the line"}},
		{"a policy in upper case", files{"a.container": container("[Service]", "Restart=Always"), "b.pod": "[Service]\nRestart=on-failure:3\n", "c.kube": "[Kube]\nYaml=/srv\n[Service]\nRestart=allways\n"}, false,
			[]string{"warning: Restart=Always is no value", "warning: Restart=on-failure:3 is no value", "warning: Restart=allways is no value"}},
		{"policies of systemd's", files{"a.container": container("[Service]", "Restart=bad", "Restart=on-abnormal"), "b.container": container("[Service]", "Restart=")}, false, nil},
		{"a sandbox in a user's service", files{"a.container": container("[Service]", "NoNewPrivileges=yes", "ProtectHome=read-only", "SystemCallFilter=@system-service", "PrivateTmp=no", "ProtectSystem=false"), "b.volume": "[Service]\nPrivateTmp=yes\n"}, false,
			[]string{"error: NoNewPrivileges= in the service of a user takes away", "error: ProtectHome= in a user's service makes systemd", "error: SystemCallFilter= in the service of a user"}},
		{"encrypted credentials of a user's service", files{"a.container": container("Secret=db,type=credential", "[Service]", "LoadCredentialEncrypted=db:/etc/db.cred"), "b.container": container("[Service]", "SetCredentialEncrypted=x: AAAA")}, false,
			[]string{"error: LoadCredentialEncrypted= in the service of a user needs systemd 258, and this is 257", "error: SetCredentialEncrypted= in the service of a user"}},
		{"an encrypted credential of an account's service", files{"a.container": container("Secret=db,type=credential", "[Service]", "User=alice", "LoadCredentialEncrypted=db:/etc/db.cred")}, true, []string{"warning: using key User"}},
		{"a sandbox in root's service", files{"a.container": container("[Service]", "NoNewPrivileges=yes", "PrivateTmp=yes")}, true, nil},
		{"a sandbox in the service of an account", files{"a.container": container("[Service]", "User=alice", "LockPersonality=yes", "PrivateTmp=yes")}, true, []string{"warning: using key User", "error: LockPersonality= in the service of a user"}},
		{"keys of the log", files{"a.container": container("[Service]", "LogLevelMax=info", "LogExtraFields=A=b", "SyslogFacility=mail"), "b.container": container("LogDriver=passthrough", "[Service]", "LogLevelMax=info")}, false,
			[]string{"warning: LogLevelMax= has no effect", "warning: LogExtraFields= has no effect", "warning: SyslogFacility= has no effect"}},
		{"keys of the log that hold", files{"a.container": container("[Service]", "StandardOutput=append:/a", "StandardError=null", "SyslogIdentifier=me")}, false, nil},
		{"output that is the journal's as well", files{"a.container": container("[Service]", "StandardOutput=journal+console", "StandardError=kmsg"), "b.container": container("LogDriver=passthrough", "[Service]", "StandardOutput=kmsg"),
			"c.container": container("LogDriver=k8s-file", "[Service]", "StandardOutput=null", "StandardError=inherit", "LogLevelMax=info")}, false,
			[]string{"warning: StandardOutput= has no effect", "warning: StandardError= has no effect", "warning: StandardOutput= has no effect", "warning: LogLevelMax= has no effect"}},
		{"limits of a pod's service", files{"a.pod": "[Pod]\nPodmanArgs=--memory=1g\n[Service]\nMemoryMax=1g\nTasksMax=9\n", "b.container": container("[Service]", "MemoryMax=1g")}, false,
			[]string{"warning: MemoryMax= of a pod's service is for the first process of the pod alone"}},
		{"an environment split at blanks", files{"a.container": container("Environment=ARGS=--one --two=2", "Environment=MSG=hello world", `Environment="A=b c" D=e TZ=x`, "Environment=HOME")}, false,
			[]string{`warning: this makes a variable with the name "--two"`, "warning: this is the name of a variable to take from the runner"}},
		{"secrets", files{"a.container": container("Secret=known", "Secret=nosuch,type=env,target=A", "Secret=cred,type=credential", "Secret=%i"), "b.container": container("Secret=other", "GlobalArgs=--root=/r"), "c.build": "[Build]\nImageTag=localhost/c\nSetWorkingDirectory=/srv\nSecret=id=x,src=y\n"}, false,
			[]string{"warning: there is no secret nosuch", "error: GlobalArgs=--root=/r is refused"}},
		{"a secret of an account", files{"a.container": container("Secret=nosuch", "[Service]", "User=alice")}, true, []string{"warning: using key User"}},
		{"patterns", files{"a.container": container("Mount=type=glob,src=/srv/*,dst=/a", "Mount=type=glob,source=./*.env", "Mount=type=glob,src=%h/x*,dst=/b", "Mount=type=glob,src=%i/x*,dst=/c")}, false,
			[]string{"warning: no file of the host fits /home/alice/x*"}},
		{"a misspelt target", files{"a.container": container("[Install]", "WantedBy=defualt.target", "WantedBy=mine.target")}, false, []string{"warning: there is no defualt.target on this machine"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			list := Check(c.files.inputs(), Options{Convert: convert.Options{User: !c.system}, Host: fakeHost(), Kube: manifest.Check(nil)})
			for _, want := range c.want {
				found := false
				for _, d := range list {
					found = found || strings.Contains(d.Severity.String()+": "+d.Message, want)
				}
				if !found {
					t.Errorf("nothing says %q", want)
				}
			}
			if len(list) != len(c.want) {
				for _, d := range list {
					t.Errorf("said: %s", d.Place())
				}
			}
		})
	}
}

// TestRefusals: what the runner says against an argument is told at the word of the unit file that
// it comes from.
func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		name, text, want string
	}{
		{"a value of a key", "[Container]\nImage=a.b/c\nUlimit=nofile=5\nUlimit=nofile=5:4\n", "4:8: error: Ulimit=nofile=5:4 is refused by the runner: "},
		{"one word of several", "[Container]\nImage=a.b/c\nDropCapability=kill foo chown\n", "3:21: error: DropCapability=foo is refused"},
		{"a part of a value", "[Container]\nImage=a.b/c\nVolume=/a:/b\nVolume=/c:d\nVolume=/e:/f\n", "4:8: error: Volume=/c:d is"},
		{"a value rewritten", "[Container]\nImage=a.b/c\nMount=type=bind,src=./a,dst=/a\nMount=type=bind,src=./b,dst=b\n", "4:7: error: Mount=type=bind,src=./b,dst=b is"},
		{"a security option", "[Container]\nImage=a.b/c\nMask=/a\nSeccompProfile=\n", "4:1: error: SeccompProfile= is"},
		{"free arguments", "[Container]\nImage=a.b/c\nPodmanArgs=--init --nit=c\n", "3:19: error: PodmanArgs=--nit=c is refused by the runner: unknown flag --nit"},
		{"a limit that is the unit's", "[Container]\nImage=a.b/c\nPodmanArgs=--timeout=60\n", "3:12: error: PodmanArgs=--timeout=60 is refused by the runner: --timeout: a unit says itself how long it may run"},
		{"a flag without its value", "[Container]\nImage=a.b/c\nPodmanArgs=--ulimit nofile=5:4 --init\n", "3:12: error: PodmanArgs=--ulimit is refused"},
		{"the last of a flag that counts once", "[Container]\nImage=a.b/c\nMemory=1g\nPodmanArgs=--memory=x\n", "4:12: error: PodmanArgs=--memory=x is refused"},
		{"the user namespace of nobody", "[Container]\nImage=a.b/c\nUserNS=container:\n", "3:8: error: UserNS=container: is refused by the runner: container: the name of the container is missing"},
		{"flags that do not go together", "[Container]\nImage=a.b/c\nUserNS=keep-id\nUIDMap=0:1:2\n", "3:8: error: UserNS=keep-id is refused by the runner: --userns and --uidmap or --gidmap exclude each other"},
		{"what systemd will expand", "[Container]\nImage=a.b/c\nMemory=$MEM\nEntrypoint=%i\n", ""},
		{"what check expands", "[Container]\nImage=a.b/c\nMask=%h/a\nWorkingDir=%N\n", `4:12: error: WorkingDir=%N is refused by the runner: "x" is not an absolute path`},
		{"a drop-in's line", "[Container]\nImage=a.b/c\nMemory=\\\n  x\n", "4:3: error: Memory="},
		{"a kernel parameter of the machine", "[Container]\nImage=a.b/c\nSysctl=net.core.somaxconn=1 vm.swappiness=10\n", "3:29: error: Sysctl=vm.swappiness=10 is refused by the runner: --sysctl vm.swappiness: it belongs to no namespace"},
		{"groups that cannot be kept", "[Container]\nImage=a.b/c\nGroupAdd=keep-groups\n", "3:10: error: GroupAdd=keep-groups is refused by the runner: --group-add keep-groups: runc cannot"},
		{"a limit above the runner's", "[Container]\nImage=a.b/c\nUlimit=nofile=99999999\nUlimit=core=1\n", "3:8: warning: Ulimit=nofile=99999999 is refused by the runner: --ulimit nofile=99999999: without the right"},
		{"a limit that systemd will raise", "[Container]\nImage=a.b/c\nUlimit=nofile=99999999\n[Service]\nLimitNOFILE=infinity\n", ""},
		{"a low port", "[Container]\nImage=a.b/c\nPublishPort=80:80\nPublishPort=8080:80\n", "3:13: warning: PublishPort=80:80 cannot be bound on this machine"},
		{"a file of variables", "[Container]\nImage=a.b/c\nEnvironmentFile=web.env bad.env\n", "3:25: error: EnvironmentFile=bad.env is refused by the runner: "},
		{"a name", "[Container]\nImage=a.b/c\nContainerName=a/b\n", "3:15: error: ContainerName=a/b is refused"},
	} {
		t.Run(c.name, func(t *testing.T) {
			host := fakeHost()
			host.LowPort = 1024
			host.Limits = func() Limits { return Limits{"nofile": {Soft: 1024, Hard: 524288}} }
			read := host.ReadFile
			host.ReadFile = func(path string) ([]byte, error) {
				if path == "/q/bad.env" {
					return []byte("export GREETING=hello\n"), nil
				}
				return read(path)
			}
			exists := host.Exists
			host.Exists = func(path string) bool { return path == "/q/bad.env" || strings.HasPrefix(path, "/q/") || exists(path) }
			list := Check(files{"x.container": c.text}.inputs(), Options{Convert: convert.Options{User: true}, Host: host})
			var got string
			for _, d := range list {
				if d.Code != "missing-path" && d.Code != "shadow" {
					got += d.Place() + "\n"
				}
			}
			got = strings.TrimPrefix(got, "/q/x.container:")
			if c.want == "" && got != "" || !strings.HasPrefix(got, c.want) || strings.Count(got, "\n") > 1 {
				t.Errorf("said: %s", got)
			}
		})
	}
}

// TestManagersThatDecrypt: nothing is said where it works, or where nobody knows.
func TestManagersThatDecrypt(t *testing.T) {
	for _, version := range []int{0, managerDecrypts, 261} {
		host := fakeHost()
		host.Systemd = func() int { return version }
		list := Check(files{"a.container": "[Container]\nImage=localhost/a\nSecret=db,type=credential\n[Service]\nLoadCredentialEncrypted=db:/etc/db.cred\n"}.inputs(), Options{Convert: convert.Options{User: true}, Host: host})
		if len(list) > 0 {
			t.Errorf("systemd %d: %v", version, list)
		}
	}
}

// TestPlaces: a finding about one word of several points at it.
func TestPlaces(t *testing.T) {
	const container = "[Container]\nImage=localhost/a\n"
	for _, c := range []struct {
		name  string
		files files
		want  []string
	}{
		{"links that cannot be made", files{"a.container": container + "[Install]\nAlias=../x.service\nAlias=y.service\nWantedBy=b.target a/b\n", "b.container": container + "[Install]\nAlias=z.service y.service\n"},
			[]string{"a.container:4:7: warning: Alias=../x.service leads out of", "a.container:6:19: warning: WantedBy=a/b is not the name", "b.container:4:17: warning: Alias=y.service is left out, it is taken by a.service"}},
		{"an instance with a slash", files{"a@.container": container + "[Install]\nDefaultInstance=a/b\nWantedBy=x.target\n"}, []string{"a@.container:4:17: warning: DefaultInstance=a/b contains a slash"}},
		{"a link of a broken unit", files{"a.container": "[Container]\n[Install]\nAlias=../x.service\n"}, []string{"a.container:1:1: error: no Image", "a.container:3:7: warning: Alias=../x.service"}},
		{"a target of the system", files{"a.container": container + "[Install]\nWantedBy=x.target multi-user.target\nWantedBy=y.target\n"}, []string{"a.container:4:19: warning: user managers have no multi-user.target"}},
		{"a cycle by files", files{"a.container": "[Unit]\nAfter=x.target b.container\n" + container, "b.container": "[Unit]\nAfter=a.container\n" + container}, []string{"a.container:2:16: error: units wait for each other"}},
		{"a cycle by services", files{"a.container": "[Unit]\nAfter=x.target b.service\n" + container, "b.container": "[Unit]\nAfter=a.service\n" + container}, []string{"a.container:2:16: error: units wait for each other"}},
		{"a cycle by order before", files{"a.container": "[Unit]\nBefore=a.service\n" + container}, []string{"a.container:2:8: error: the unit waits for itself"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			list := Check(c.files.inputs(), Options{Convert: convert.Options{User: true}})
			for i, d := range list {
				if i >= len(c.want) || !strings.HasPrefix(strings.TrimPrefix(d.Place(), "/q/"), c.want[i]) {
					t.Errorf("said: %s", d.Place())
				}
			}
			if len(list) < len(c.want) {
				t.Errorf("%d findings, want %d", len(list), len(c.want))
			}
		})
	}
}

// TestExamples: the examples of the key table have nothing wrong with their values.
func TestExamples(t *testing.T) {
	for _, s := range keys.Sections() {
		if s.Ext == "" {
			continue
		}
		for _, k := range s.Keys {
			list := Check(files{"x" + s.Ext: "[" + s.Name + "]\n" + k.Name + "=" + k.Example + "\n"}.inputs(), Options{})
			for _, d := range list {
				if d.Code == "value" && d.Severity == report.Error {
					t.Errorf("[%s] %s", s.Name, d.Place())
				}
			}
		}
	}
}

// TestYAMLOfAPipe: what nobody may ever write is told, and not waited for.
func TestYAMLOfAPipe(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pod.yaml")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	list, _, n := documents([]string{pipe}, Options{Kube: func(string, []byte) report.List { return nil }})
	if n != 1 || len(list) != 1 || !strings.Contains(list[0].Message, "cannot be read: it is not a regular file but a pipe") {
		t.Errorf("%d: %v", n, list)
	}
}

// TestThisHost: the real machine answers without surprise.
func TestThisHost(t *testing.T) {
	h := ThisHost(os.Getuid() != 0)
	if _, ok := h.UserHome("root"); !ok || !h.Exists("/") || h.SubIDs("nobody-has-this-name", true) {
		t.Error("strange machine")
	}
	if _, err := h.ReadFile("/dev/zero"); err == nil {
		t.Error("/dev/zero was read")
	}
}
