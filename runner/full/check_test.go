// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"github.com/podunit/podunit/generator/quadlet"
	"github.com/podunit/podunit/generator/unitfile"
	"github.com/podunit/podunit/runner/check"
	"github.com/podunit/podunit/runner/cli"
	verbs "github.com/podunit/podunit/runner/cmd/quadlet"
)

// knownVerbs are the verbs of this program, as a check asks for them.
func knownVerbs() check.Verbs {
	return verbs.VerbFlags(&cli.Env{Program: program(), Lookup: func(string) (string, bool) { return "", false }})
}

// TestCheckAgreesWithRunner: check and the verbs that units run are of one mind about values.
func TestCheckAgreesWithRunner(t *testing.T) {
	for value, good := range map[string]bool{
		"[Container]\nPublishPort=127.0.0.1:80": true, "[Container]\nPublishPort=[::1]:80": true, "[Container]\nPublishPort=0:80/TCP": true,
		"[Container]\nPublishPort=80:80/sctp": false, "[Container]\nPublishPort=80-82:80": false, "[Pod]\nPublishPort=80:80/sctp": false,
		"[Container]\nUlimit=nofile=5:4": false, "[Container]\nUlimit=nofile=4:5": true, "[Container]\nVolume=a/b:/y": false, "[Container]\nVolume=/a:/": false,
		"[Container]\nStopTimeout=-1": false, "[Container]\nUserNS=keep-id:foo=1": false, "[Container]\nHostName=a b": false, "[Container]\nTmpfs=/run:foo": false,
		"[Container]\nPodmanArgs=--no-such-flag": false, "[Container]\nPodmanArgs=--cpus=2": true, "[Container]\nNetwork=slirp4netns:mtu=1500": true, "[Container]\nNetwork=slirp4netns:x=1": false,
		"[Container]\nPublishPort=80:80/sctp\nNetwork=podman": true, "[Container]\nMemory=$M": true,
		"[Container]\nContainerName=web-%i": true, "[Container]\nGlobalArgs=run --log-level debug": false,
		"[Container]\nGlobalArgs=--storage-opt additionalimagestore=/i --root /r --cgroup-manager=cgroupfs": true, "[Container]\nGlobalArgs=--root r": false, "[Container]\nPodmanArgs=--storage-opt size=1g": false,
		"[Pod]\nGlobalArgs=--storage-opt additionalimagestore=/i": true, "[Volume]\nGlobalArgs=--root /r": true, "[Image]\nGlobalArgs=--remote": false,
		"[Container]\nMount=source=a,destination=/b,volume-opt=type=tmpfs": true, "[Container]\nMount=source=a,destination=/b,volume-opt=devise=x": false, "[Container]\nVolume=a:/b:nocreate": true,
		"[Container]\nLogOpt=tag={{.Name}}": true, "[Container]\nLogOpt=tag={{.Nothing}}": false,
		"[Container]\nGlobalArgs=--log-level=debug": true, "[Container]\nGlobalArgs=--no-such-flag": false, "[Pod]\nGlobalArgs=--module=x": true,
		"[Container]\nPodmanArgs=--runtime=crun --log-level debug": true, "[Container]\nPodmanArgs=--module x": true, "[Pod]\nPodmanArgs=--runtime crun": true,
		"[Container]\nContainersConfModule=x.conf": true, "[Volume]\nPodmanArgs=--log-level=debug": true, "[Volume]\nPodmanArgs=--no-such": false, "[Volume]\nUser=0": true,
		"[Image]\nPodmanArgs=--tls-verify=maybe": false, "[Image]\nRetry=-1": false, "[Image]\nRetryDelay=5": false, "[Image]\nPodmanArgs=--quiet": true,
		"[Container]\nReloadSignal=SIGHUPP": false, "[Container]\nReloadCmd=nginx -s reload": true, "[Container]\nExec=--no-such-flag": true,
		"[Container]\nAddCapability=chown,kill": true, "[Container]\nEnvironmentFile=/etc/passwd": true, "[Pod]\nShmSize=-1": false, "[Pod]\nShmSize=1m": true,
	} {
		in := quadlet.Input{Path: "/q/x.container", Dir: "/q"}
		switch section, _, _ := strings.Cut(value, "\n"); section {
		case "[Pod]", "[Volume]":
			in.Path = "/q/x." + strings.ToLower(strings.Trim(section, "[]"))
		case "[Image]":
			in.Path = "/q/x.image"
			value += "\nImage=localhost/a"
		default:
			value = strings.Replace(value, "\n", "\nImage=localhost/a\n", 1)
		}
		in.File, _ = unitfile.Parse(in.Path, []byte(value+"\n"))
		list := check.Check([]quadlet.Input{in}, check.Options{Verbs: knownVerbs()})
		if (list.Errors() == 0) != good {
			t.Errorf("%q: %v", value, list)
		}
	}
}

// TestCheckOfWhatIsNotSupported: what cannot start is an error, where it stands, and each kind of
// unit has its verb.
func TestCheckOfWhatIsNotSupported(t *testing.T) {
	for name, c := range map[string]struct {
		text, want string
		line       int
	}{
		"x.network": {"[Network]\nNetworkDeleteOnStop=true\n", "", 0}, "x.kube": {"[Kube]\nYaml=/a.yml\n", "", 0}, "x.build": {"[Build]\nImageTag=localhost/a\nSetWorkingDirectory=unit\n", "", 0},
		"x.artifact": {"[Artifact]\nArtifact=localhost/a\n", "", 0}, "x.volume": {"[Volume]\nOptions=size=1g\n", "not supported: it needs root, and a file system", 2},
		"z.volume": {"[Volume]\nPodmanArgs=--opt inodes=5\n", "not supported", 2}, "y.volume": {"[Volume]\nDriver=rclone\n", "not supported: it would need a plugin", 2},
		"y.kube":      {"[Kube]\nYaml=/a.yml\nPodmanArgs=--uidmap 0:1:5\n", "each pod has a user namespace of its own", 3},
		"x.container": {"[Container]\nExec=true\nRootfs=/x:idmap\n", "for root only", 3},
	} {
		in := quadlet.Input{Path: "/q/" + name, Dir: "/q"}
		in.File, _ = unitfile.Parse(in.Path, []byte(c.text))
		o := check.Options{Verbs: knownVerbs()}
		o.Convert.User = true
		list := check.Check([]quadlet.Input{in}, o)
		if c.want == "" && list.Errors() > 0 || c.want != "" && (list.Errors() != 1 || !strings.Contains(list[0].Message, c.want) || list[0].Pos.Line != c.line) {
			t.Errorf("%s: %v", name, list)
		}
	}
}

// TestCheckOfGlobalFlags: a flag of the whole program is judged behind the verb as well; what the
// runner refuses, as limits of space, has a way out.
func TestCheckOfGlobalFlags(t *testing.T) {
	for text, want := range map[string]string{
		"[Container]\nImage=localhost/a\nPodmanArgs=--storage-opt size=1g\n": "size in [storage.options.overlay]",
		"[Container]\nImage=localhost/a\nPodmanArgs=--root x\n":              "not an absolute path",
		"[Container]\nImage=localhost/a\nPodmanArgs=--log-level debug\n":     "",
		// What a value stands for is not known, but no value of --url will do.
		"[Container]\nImage=localhost/a\nPodmanArgs=--storage-driver $D\n":    "",
		"[Container]\nImage=localhost/a\nPodmanArgs=--storage-driver zfs\n":   "",
		"[Container]\nImage=localhost/a\nPodmanArgs=--url %h/x --ulimit=$U\n": "ssh HOST podunit",
		"[Volume]\nPodmanArgs=--root %h/x\n":                                  "",
		"[Volume]\nPodmanArgs=--url %h/x\n":                                   "ssh HOST podunit",
		"[Volume]\nOptions=size=1g\n":                                         "--opt type=tmpfs",
		"[Volume]\nOptions=noquota\n":                                         "",
	} {
		in := quadlet.Input{Path: "/q/x." + strings.ToLower(text[1:strings.Index(text, "]")]), Dir: "/q"}
		in.File, _ = unitfile.Parse(in.Path, []byte(text))
		list := check.Check([]quadlet.Input{in}, check.Options{Verbs: knownVerbs()})
		if want == "" && len(list) > 0 || want != "" && (len(list) != 1 || !strings.Contains(list[0].Message+list[0].Hint, want)) {
			t.Errorf("%q: %v", text, list)
		}
	}
}

// TestCheckOfMounts: what a volume mounts is nothing to complain of, but for what the kernel does
// not do for a user.
func TestCheckOfMounts(t *testing.T) {
	for text, want := range map[string]string{
		"Type=tmpfs\nDevice=tmpfs\nOptions=size=1m\n": "", "Driver=image\nImage=localhost/a:1\n": "", "Device=/srv\nOptions=bind\n": "", "Options=ro\n": "there is nothing to mount",
		"Device=/dev/vdb\nType=ext4\n": "for root only",
	} {
		in := quadlet.Input{Path: "/q/x.volume", Dir: "/q"}
		in.File, _ = unitfile.Parse(in.Path, []byte("[Volume]\n"+text))
		o := check.Options{Verbs: knownVerbs()}
		o.Convert.User = true
		list := check.Check([]quadlet.Input{in}, o)
		if want == "" && len(list) > 0 || want != "" && (len(list) != 1 || !strings.Contains(list[0].Message, want) || list[0].Pos.Line < 2) {
			t.Errorf("%q: %v", text, list)
		}
	}
}

// TestCheckOfFailedUnit: another error does not hide what the runner would refuse.
func TestCheckOfFailedUnit(t *testing.T) {
	for name, text := range map[string]string{
		"x.container": "[Container]\nImage=localhost/a\nVolume=none.volume:/x\nUlimit=nofile=5:4\nMemory=1g\nEntrypoint=\nRunInit=true\nLabel=a=b c\nExec=sh -c x\n",
		"x.pod":       "[Pod]\nVolume=none.volume:/x\nShmSize=-1\nHostName=a\nLabel=a=b\n",
	} {
		in := quadlet.Input{Path: "/q/" + name, Dir: "/q"}
		in.File, _ = unitfile.Parse(in.Path, []byte(text))
		list := check.Check([]quadlet.Input{in}, check.Options{Verbs: knownVerbs()})
		if list.Errors() != 2 || !strings.Contains(list[1].Message, "is refused by the runner") {
			t.Errorf("%s: %v", name, list)
		}
	}
}
