// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/podunit/podunit/generator/keys"
	"github.com/podunit/podunit/generator/quadlet"
	"github.com/podunit/podunit/generator/report"
	"github.com/podunit/podunit/generator/spelling"
	"github.com/podunit/podunit/generator/unitfile"
)

// systemd checks what systemd will read: it drops what it does not understand with a line in its
// own log, and the unit then runs without it.
func (c *checker) systemd(u *quadlet.Unit) {
	g := u.File.Group("Service")
	if g == nil {
		return
	}
	c.restart(u, g.Last("Restart"))
	// Only root has namespaces and filters without no_new_privs, and without a user namespace.
	runs := u.Type.Name == "Container" || u.Type.Name == "Pod" || u.Type.Name == "Kube"
	_, other := serviceUser(u, c.Convert)
	for i := range g.Lines {
		l := &g.Lines[i]
		if g.Last(l.Key) != l || off(l.Value) {
			continue
		}
		switch {
		case runs && (c.Convert.User || other) && slices.Contains(noNewPrivileges, l.Key):
			c.fault(u, l, "sandbox", l.Key+"= in the service of a user takes away the right to enter a user namespace (it sets no_new_privs), and without that no container starts",
				"remove it; the container is confined by itself, NoNewPrivileges= in [Container] is for its processes")
		case runs && c.Convert.User && slices.Contains(userNamespaces, l.Key):
			c.fault(u, l, "sandbox", l.Key+"= in a user's service makes systemd enter a user namespace with a single user, in which no container starts",
				"remove it; ReadOnly=, Mask= and Network= in [Container] confine the container")
		case c.Convert.User && (l.Key == "LoadCredentialEncrypted" || l.Key == "SetCredentialEncrypted"):
			c.encrypted(u, l)
		case slices.Contains(logs, l.Key):
			c.log(u, l)
		case u.Type.Name == "Pod" && ofPod[l.Key] != "":
			c.warn(u, l, "pod-limit", l.Key+"= of a pod's service is for the first process of the pod alone: its containers have services of their own",
				"PodmanArgs="+ofPod[l.Key]+" in [Pod] is for all of them together")
		}
	}
}

// off tells a value that leaves a key of systemd at its default.
func off(v string) bool {
	switch strings.ToLower(v) {
	case "", "0", "no", "false", "off":
		return true
	}
	return false
}

// restart checks Restart=, whose values systemd compares letter by letter. Source:
// systemd.service(5).
func (c *checker) restart(u *quadlet.Unit, l *unitfile.Line) {
	known := []string{"no", "on-success", "on-failure", "on-abnormal", "on-watchdog", "on-abort", "always"}
	if l == nil || l.Value == "" || slices.Contains(known, l.Value) {
		return
	}
	policy, tries, limited := strings.Cut(strings.ToLower(l.Value), ":")
	hint := "known are " + strings.Join(known, ", ")
	switch near := spelling.Nearest(policy, known); {
	case policy == "unless-stopped":
		hint = "write Restart=always: a service that somebody stops stays stopped"
	case policy == "never":
		hint = "write Restart=no"
	case limited && slices.Contains(known, policy):
		hint = "write Restart=" + policy + ", and StartLimitBurst=" + tries + " in [Unit] for the number of tries"
	case slices.Contains(known, policy):
		hint = "write Restart=" + policy + ", in lower case"
	case near != "":
		hint = "did you mean Restart=" + near + "?"
	}
	c.warn(u, l, "service-value", "Restart="+l.Value+" is no value of systemd's: it drops the line, and the unit is not restarted", hint)
}

// managerDecrypts is the version of systemd from which on a user's manager decrypts credentials.
// Seen with 257.13, which fails with the status 243.
const managerDecrypts = 258

// encrypted checks an encrypted credential of a user's service, which a manager that cannot decrypt
// it never starts.
func (c *checker) encrypted(u *quadlet.Unit, l *unitfile.Line) {
	if c.Host.Systemd == nil {
		return
	}
	version := c.Host.Systemd()
	if version == 0 || version >= managerDecrypts {
		return
	}
	id, _, _ := strings.Cut(l.Value, ":")
	c.fault(u, l, "credential", fmt.Sprintf("%s= in the service of a user needs systemd %d, and this is %d: the service fails with the status 243/CREDENTIALS", l.Key, managerDecrypts, version),
		fmt.Sprintf("remove it, and put the encrypted file where Secret=%s,type=credential finds it: ~/.config/credstore.encrypted/%s", id, id))
}

// noNewPrivileges are the keys that set no_new_privs in a service that is not root's. Source:
// systemd.exec(5), NoNewPrivileges=.
var noNewPrivileges = []string{
	"NoNewPrivileges", "SystemCallFilter", "SystemCallArchitectures", "SystemCallLog", "RestrictAddressFamilies", "RestrictNamespaces", "PrivateDevices",
	"ProtectKernelTunables", "ProtectKernelModules", "ProtectKernelLogs", "ProtectClock", "ProtectHostname", "MemoryDenyWriteExecute",
	"RestrictRealtime", "RestrictSUIDSGID", "RestrictFileSystems", "LockPersonality",
}

// userNamespaces are the keys for which a user's manager enters a user namespace. Source:
// systemd.exec(5), PrivateUsers= and "User/Group Identity"; all of them need a mount or network
// namespace of the service.
var userNamespaces = []string{
	"PrivateUsers", "PrivateTmp", "PrivateNetwork", "PrivateIPC", "PrivateMounts", "PrivatePIDs", "ProtectSystem", "ProtectHome", "ProtectProc",
	"ProtectControlGroups", "ReadOnlyPaths", "ReadWritePaths", "InaccessiblePaths", "ExecPaths", "NoExecPaths", "TemporaryFileSystem",
	"BindPaths", "BindReadOnlyPaths", "MountImages", "ExtensionImages", "RootDirectory", "RootImage", "MountFlags",
}

// logs are the keys of systemd about what a service prints that the container's lines do not heed,
// or not always.
var logs = []string{"SyslogFacility", "LogExtraFields", "LogLevelMax", "StandardOutput", "StandardError"}

// ofPod are limits of a service that people expect to hold for a whole pod, and what does.
var ofPod = map[string]string{
	"MemoryMax": "--memory=SIZE", "MemorySwapMax": "--memory-swap=SIZE", "CPUQuota": "--cpus=N", "CPUWeight": "--cpu-shares=N",
	"AllowedCPUs": "--cpuset-cpus=LIST", "AllowedMemoryNodes": "--cpuset-mems=LIST", "IOWeight": "--blkio-weight=N",
	"IOReadBandwidthMax": "--device-read-bps=DEVICE:RATE", "IOWriteBandwidthMax": "--device-write-bps=DEVICE:RATE",
}

// log warns about a key that holds for the lines of podunit but not for those of the container,
// which podunit-log writes to the journal. StandardOutput= and StandardError= hold unless a log
// driver is asked for; with kmsg and journal+console the service's socket looks like the journal's.
func (c *checker) log(u *quadlet.Unit, l *unitfile.Line) {
	driver := u.Str("LogDriver")
	if u.Type.Name != "Container" || driver == "passthrough" || driver == "none" {
		return
	}
	if strings.HasPrefix(l.Key, "Standard") {
		shared := strings.HasPrefix(l.Value, "kmsg") || strings.HasSuffix(l.Value, "+console")
		if l.Value == "journal" || l.Value == "inherit" || driver == "" && !shared {
			return
		}
	}
	c.warn(u, l, "log-key", l.Key+"= has no effect on what the container prints: podunit writes that to the journal",
		"LogDriver=passthrough in [Container] gives the container the output of the service itself")
}

// environment checks Environment=, which is split at blanks.
func (c *checker) environment(u *quadlet.Unit) {
	if k := u.Type.Key("Environment"); k == nil || k.Kind != keys.Env {
		return
	}
	var line *unitfile.Line
	given := false // a word before on this line has a value
	for _, w := range u.Args("Environment") {
		if w.Line != line {
			line, given = w.Line, false
		}
		name, _, has := strings.Cut(w.Text, "=")
		hint := `quotes keep a value with blanks together: Environment="NAME=a b"`
		switch {
		case has && strings.HasPrefix(name, "-"):
			c.add(report.Warning, u, w.Line, w.Off, w.End-w.Off, "environment", "this makes a variable with the name "+strconv.Quote(name), hint)
		case !has && given && name != "":
			c.add(report.Warning, u, w.Line, w.Off, w.End-w.Off, "environment", "this is the name of a variable to take from the runner, not a part of the value before", hint)
		}
		given = given || has
	}
}

// targets are those that people name in [Install].
var targets = []string{
	"default.target", "multi-user.target", "graphical.target", "basic.target", "sysinit.target", "timers.target", "sockets.target", "paths.target",
	"network.target", "network-online.target", "local-fs.target", "remote-fs.target", "shutdown.target",
}

// install finds targets in [Install] that are misspelt: the link is made, and nobody ever follows it.
func (c *checker) install(u *quadlet.Unit) {
	for _, key := range []string{"WantedBy", "RequiredBy", "UpheldBy"} {
		for _, w := range u.Install(key) {
			if !strings.HasSuffix(w.Text, ".target") || slices.Contains(targets, w.Text) || c.unitExists(w.Text) {
				continue
			}
			if near := spelling.Nearest(w.Text, targets); near != "" {
				c.add(report.Warning, u, w.Line, w.Off, w.End-w.Off, "target", "there is no "+w.Text+" on this machine, so "+key+"= has no effect", "did you mean "+near+"?")
			}
		}
	}
}

// unitExists tells whether systemd has a unit file of that name.
func (c *checker) unitExists(name string) bool {
	above, below := c.unitDirs()
	return c.Host.Exists != nil && slices.ContainsFunc(append(above, below...), func(dir string) bool { return c.Host.Exists(dir + name) })
}
