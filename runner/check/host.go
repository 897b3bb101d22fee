// SPDX-License-Identifier: Apache-2.0

package check

import (
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/podunit/podunit/generator/convert"
	"github.com/podunit/podunit/generator/keys"
	"github.com/podunit/podunit/generator/quadlet"
	"github.com/podunit/podunit/generator/report"
	"github.com/podunit/podunit/generator/specifier"
	"github.com/podunit/podunit/generator/unitfile"
	"github.com/podunit/podunit/runner/bundle"
	"github.com/podunit/podunit/runner/network"
	"github.com/podunit/podunit/runner/safe"
	"github.com/podunit/podunit/runner/spec"
	"github.com/podunit/podunit/runner/store"
	"github.com/podunit/podunit/runner/unit"
)

// maxRead bounds what is read of a file that a unit or a command line names, in bytes.
const maxRead = 16 << 20

// ThisHost asks the machine that the program runs on. The units of a user run are those of the
// current user.
func ThisHost(userRun bool) Host {
	h := Host{
		Exists: func(path string) bool {
			_, err := os.Stat(path)
			return err == nil
		},
		ReadFile: func(path string) ([]byte, error) { return safe.ReadLinked(path, maxRead) },
		Matches: func(pattern string) bool {
			found, err := filepath.Glob(pattern)
			return err != nil || len(found) > 0
		},
		UserHome: func(name string) (string, bool) {
			u, err := user.Lookup(name)
			if err != nil {
				if u, err = user.LookupId(name); err != nil {
					return "", false
				}
			}
			return u.HomeDir, true
		},
		SubIDs: func(name string, group bool) bool {
			file := "/etc/subuid"
			if group {
				file = "/etc/subgid"
			}
			data, err := os.ReadFile(file)
			if err != nil {
				return false
			}
			id := ""
			if u, err := user.Lookup(name); err == nil {
				id = u.Uid
			}
			for line := range strings.SplitSeq(string(data), "\n") {
				owner, _, ok := strings.Cut(line, ":")
				if ok && (owner == name || owner == id && id != "") {
					return true
				}
			}
			return false
		},
		AutoUser: func() string {
			name, _ := store.AutoUser() // what is wrong with the file, a start tells
			return name
		},
		Linger:     unit.Lingers,
		Limits:     limits,
		LowPort:    network.FirstPort("/proc"),
		Systemd:    systemdVersion,
		RuntimeDir: "/run",
	}
	if u, err := user.Current(); err == nil && userRun {
		h.User, h.Home = u.Username, u.HomeDir
		h.RuntimeDir = "/run/user/" + u.Uid
	} else if !userRun {
		h.Home = "/root"
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" && userRun {
		h.RuntimeDir = dir
	}
	return h
}

// limits are the resource limits of this process. A user's services and shells begin with the same
// hard ones.
func limits() Limits {
	h, err := bundle.Probe(false, false)
	if err != nil {
		return nil
	}
	return h.Rlimits
}

// systemdVersion is the number in the first line of systemctl --version, zero when there is none.
func systemdVersion() int {
	out, err := exec.Command("systemctl", "--version").Output()
	if err != nil {
		return 0
	}
	words := strings.Fields(string(out))
	if len(words) < 2 || words[0] != "systemd" {
		return 0
	}
	n, _ := strconv.Atoi(words[1]) // 0 for what is no number
	return n
}

// expand replaces the specifiers whose values a check knows; ok is false when others remain.
func (c *checker) expand(u *quadlet.Unit, path string) (string, bool) {
	home := c.Host.Home
	if name, ok := serviceUser(u, c.Convert); ok && c.Host.UserHome != nil {
		if home, ok = c.Host.UserHome(name); !ok {
			return "", false
		}
	}
	if strings.HasPrefix(path, "%h") && home != "" {
		path = home + path[2:]
	}
	if strings.HasPrefix(path, "%t") && c.Host.RuntimeDir != "" {
		path = c.Host.RuntimeDir + path[2:]
	}
	path = strings.ReplaceAll(path, "%N", u.Service)
	path = strings.ReplaceAll(path, "%n", u.Service+".service")
	if strings.Contains(strings.ReplaceAll(path, "%%", ""), "%") || strings.ContainsRune(path, '$') {
		return "", false
	}
	return strings.ReplaceAll(path, "%%", "%"), true
}

// serviceUser is the account that a system service runs as, when that is not root.
func serviceUser(u *quadlet.Unit, opt convert.Options) (string, bool) {
	l, ok := u.ServiceKey("User")
	if opt.User || !ok || l.Value == "" || l.Value == "root" || l.Value == "0" {
		return "", false
	}
	return l.Value, true
}

// paths checks that the files exist that a value names.
func (c *checker) paths(u *quadlet.Unit, k *keys.Key, v value) {
	if c.Host.Exists == nil {
		return
	}
	missing := func(s report.Severity, path, hint string) {
		c.add(s, u, v.line, v.off, v.wide, "missing-file", k.Name+"="+v.text+" names a file that does not exist: "+path, hint)
	}
	switch k.Name {
	case "EnvironmentFile", "Yaml", "ConfigMap":
		c.named(u, k, v, missing)
	case "Volume", "Mount":
		c.mounted(u, k, v)
	case "Secret":
		c.secret(u, v)
	case "AddDevice":
		path, _, _ := strings.Cut(v.text, ":")
		if !strings.HasPrefix(path, "-") && strings.HasPrefix(path, "/") && !open(path) && !c.Host.Exists(path) {
			c.add(report.Warning, u, v.line, v.off, v.wide, "missing-path", "the device "+path+" does not exist", "AddDevice=-"+v.text+" leaves it out when it is not there")
		}
	case "SeccompProfile", "AuthFile", "CertDir", "IgnoreFile", "DecryptionKey":
		path, _, _ := strings.Cut(v.text, ":")
		if path, ok := c.expand(u, path); ok && filepath.IsAbs(path) && !c.Host.Exists(path) {
			missing(report.Warning, path, "")
		}
	case "File", "SetWorkingDirectory":
		c.buildPaths(u, k, v, missing)
	case "Rootfs", "Device":
		path, _, _ := strings.Cut(v.text, ":")
		if k.Name == "Device" && u.Str("Type") != "bind" && !strings.Contains(","+u.Str("Options")+",", ",bind,") {
			return // nfs and the like have paths of other machines
		}
		if path, ok := c.expand(u, path); ok && filepath.IsAbs(path) && !c.Host.Exists(path) {
			c.add(report.Warning, u, v.line, v.off, v.wide, "missing-path", "the host path "+path+" does not exist", missingPath(path, ""))
		}
	case "Timezone":
		if v.text != "local" && !open(v.text) && c.Host.Exists("/usr/share/zoneinfo/UTC") && !c.Host.Exists("/usr/share/zoneinfo/"+v.text) {
			c.add(report.Error, u, v.line, v.off, v.wide, "value", "Timezone="+v.text+" is not a known time zone", "timedatectl list-timezones lists them")
		}
	case "UserNS":
		_, other := serviceUser(u, c.Convert)
		if mode, _, _ := strings.Cut(v.text, ":"); mode == "auto" && !c.Convert.User && !other && c.Host.SubIDs != nil {
			if name := c.Host.AutoUser(); !c.Host.SubIDs(name, false) {
				c.add(report.Warning, u, v.line, v.off, v.wide, "sub-ids", "UserNS="+v.text+" takes IDs of "+name+", who has no range in /etc/subuid", "echo "+name+":2147483647:2147483648 | tee -a /etc/subuid /etc/subgid")
			}
		}
	case "SubUIDMap", "SubGIDMap":
		if c.Host.SubIDs != nil && !open(v.text) && !c.Host.SubIDs(v.text, k.Name == "SubGIDMap") {
			file := "/etc/subuid"
			if k.Name == "SubGIDMap" {
				file = "/etc/subgid"
			}
			c.add(report.Error, u, v.line, v.off, v.wide, "sub-ids", k.Name+"="+v.text+" has no range in "+file, "usermod --add-subuids 100000-165535 --add-subgids 100000-165535 "+v.text)
		}
	}
}

// named checks a file that a key names, and reads Kubernetes YAML.
func (c *checker) named(u *quadlet.Unit, k *keys.Key, v value, missing func(report.Severity, string, string)) {
	path, ok := c.expand(u, specifier.Absolute(v.text, specifier.Escape(u.Dir)))
	if !ok {
		return
	}
	if !c.Host.Exists(path) {
		severity, hint := report.Error, ""
		if filepath.IsAbs(v.text) || specifier.Led(v.text) {
			severity = report.Warning // it may be there on the machine that the unit is for
		}
		if strings.HasPrefix(v.text, "-") {
			hint = "a leading - is part of the name here, it does not make the file optional"
		}
		missing(severity, path, hint)
		return
	}
	if k.Name != "EnvironmentFile" && c.Kube != nil && c.Host.ReadFile != nil {
		data, err := c.Host.ReadFile(path)
		if err != nil {
			c.add(report.Error, u, v.line, v.off, v.wide, "missing-file", k.Name+"="+v.text+" cannot be read: "+err.Error(), "")
			return
		}
		for _, d := range c.Kube(path, data) {
			d.Unit = u.Base
			c.more = append(c.more, d)
		}
	}
}

// mounted checks the host path of a mount.
func (c *checker) mounted(u *quadlet.Unit, k *keys.Key, v value) {
	source := v.text
	var inside string
	if k.Name == "Volume" {
		var ok bool
		if source, inside, ok = strings.Cut(source, ":"); !ok {
			return
		}
		inside, _, _ = strings.Cut(inside, ":")
	} else {
		if strings.Contains(","+source+",", ",type=glob,") {
			c.globbed(u, v)
			return
		}
		if !strings.Contains(","+source+",", ",type=bind,") {
			return
		}
		inside = mountField(source, "destination", "dst", "target")
		source = mountField(source, "source", "src")
	}
	if strings.HasPrefix(source, ".") {
		source = filepath.Join(specifier.Escape(u.Dir), source)
	}
	if !filepath.IsAbs(source) && !specifier.Led(source) {
		return
	}
	if path, ok := c.expand(u, source); ok && !c.Host.Exists(path) {
		c.add(report.Warning, u, v.line, v.off, v.wide, "missing-path", "the host path "+path+" does not exist", missingPath(path, inside))
	}
}

// globbed checks that the pattern of a mount fits a file.
func (c *checker) globbed(u *quadlet.Unit, v value) {
	pattern := mountField(v.text, "source", "src")
	if strings.HasPrefix(pattern, ".") {
		pattern = filepath.Join(specifier.Escape(u.Dir), pattern)
	}
	if !filepath.IsAbs(pattern) && !specifier.Led(pattern) || c.Host.Matches == nil {
		return
	}
	if pattern, ok := c.expand(u, pattern); ok && !c.Host.Matches(pattern) {
		c.add(report.Warning, u, v.line, v.off, v.wide, "missing-path", "no file of the host fits "+pattern, "write the files first, or correct the pattern")
	}
}

// secret checks that a secret is there. Those of another account or of another storage are not known.
func (c *checker) secret(u *quadlet.Unit, v value) {
	_, other := serviceUser(u, c.Convert)
	if c.Host.Secret == nil || other || u.Type.Name != "Container" || u.Last("GlobalArgs") != nil || open(v.text) {
		return
	}
	one, err := spec.ParseSecret(v.text)
	if err != nil || one.Type == spec.SecretCredential || c.Host.Secret(one.Name) {
		return
	}
	c.add(report.Warning, u, v.line, v.off, v.wide, "missing-secret", "there is no secret "+one.Name, "podunit secret create "+one.Name+" FILE")
}

// buildPaths checks the Containerfile and the context of a build, as far as they do not depend on
// [Service].
func (c *checker) buildPaths(u *quadlet.Unit, k *keys.Key, v value, missing func(report.Severity, string, string)) {
	path, ok := c.expand(u, v.text)
	if l, own := u.ServiceKey("WorkingDirectory"); !ok || own && l.Value != "" || u.Type.Name != "Build" || strings.Contains(path, ":") || strings.HasPrefix(path, "http") || strings.Contains(path, "github.com/") {
		return
	}
	word := strings.ToLower(path)
	relative := k.Name == "SetWorkingDirectory" && word != "unit" && word != "file" || k.Name == "File" && strings.EqualFold(u.Str("SetWorkingDirectory"), "unit")
	switch {
	case filepath.IsAbs(path):
		if !c.Host.Exists(path) {
			missing(report.Warning, path, "")
		}
	case relative:
		if path = filepath.Join(u.Dir, path); !c.Host.Exists(path) {
			missing(report.Error, path, "")
		}
	}
}

// mountField is the value of the first field of Mount= that has one of the names.
func mountField(spec string, names ...string) string {
	for field := range strings.SplitSeq(spec, ",") {
		if n, value, _ := strings.Cut(field, "="); slices.Contains(names, n) {
			return value
		}
	}
	return ""
}

// unitDirs are the directories of unit files that count more than those of a generator, and those
// that count less.
func (c *checker) unitDirs() (above, below []string) {
	above, below = []string{"/etc/systemd/system/", "/run/systemd/system/"}, []string{"/usr/local/lib/systemd/system/", "/usr/lib/systemd/system/"}
	if c.Convert.User {
		above, below = []string{"/etc/systemd/user/", "/run/systemd/user/"}, []string{"/usr/local/lib/systemd/user/", "/usr/lib/systemd/user/"}
		if c.Host.Home != "" {
			above = append(above, c.Host.Home+"/.config/systemd/user/")
			below = append(below, c.Host.Home+"/.local/share/systemd/user/")
		}
	}
	return above, below
}

// shadows finds units of other origin with the name of a service: one in /etc counts more than what
// a generator makes, one in /usr less. Source: systemd.unit(5), UNIT FILE LOAD PATH.
func (c *checker) shadows() {
	if c.Host.Exists == nil {
		return
	}
	above, below := c.unitDirs()
	find := func(dirs []string, name string) string {
		for _, dir := range dirs {
			if c.Host.Exists(dir + name) {
				return dir + name
			}
		}
		return ""
	}
	say := func(u *quadlet.Unit, message, hint string) {
		if l := u.Last("ServiceName"); l != nil {
			c.warn(u, l, "shadow", message, hint)
			return
		}
		c.more = append(c.more, report.Diagnostic{
			Severity: report.Warning, Code: "shadow", Unit: u.Base, Pos: report.Position{File: u.Path, Line: 1, Col: 1}, Message: message, Hint: hint,
		})
	}
	for _, u := range c.set.Units {
		if path := find(above, u.Service+".service"); path != "" {
			say(u, "the service has no effect, "+path+" hides it", "remove or unmask that one, or rename this file")
		} else if path := find(below, u.Service+".service"); path != "" {
			say(u, "the service takes the place of "+path, "rename the file, or set ServiceName=, to keep both")
		}
	}
}

// accounts checks who runs the units: User= of system services, linger and subordinate ids of users.
func (c *checker) accounts() {
	lingering := false
	for _, u := range c.set.Units {
		if l, ok := u.ServiceKey("User"); ok {
			c.serviceUser(u, l)
		}
		if l, ok := u.ServiceKey("DynamicUser"); ok && quadlet.Truth(l.Value) {
			c.fault(u, l, "service-user", "DynamicUser= cannot run containers: such a user has no home and no subordinate ids", "name an account with User=")
		}
		if c.Convert.User {
			for _, word := range u.Install("WantedBy") {
				lingering = lingering || word.Text == "default.target"
				if word.Text == "multi-user.target" || word.Text == "graphical.target" {
					c.add(report.Warning, u, word.Line, word.Off, word.End-word.Off, "target", "user managers have no "+word.Text, "write WantedBy=default.target")
				}
			}
		}
	}
	h := c.Host
	if !c.Convert.User || h.User == "" || h.User == "root" || len(c.set.Units) == 0 {
		return
	}
	if lingering && h.Linger != nil && !h.Linger(h.User) {
		c.more = append(c.more, report.Diagnostic{
			Severity: report.Warning, Code: "linger", Message: "services of " + h.User + " start with the first login, not at boot, and stop with the last",
			Hint: "loginctl enable-linger " + h.User,
		})
	}
	c.subIDs(h.User, nil, nil)
}

func (c *checker) serviceUser(u *quadlet.Unit, l *unitfile.Line) {
	if c.Convert.User {
		c.fault(u, l, "service-user", "User= has no place in a user's service: a user manager cannot change to another user", "remove it, or move the file to /etc/containers/systemd")
		return
	}
	if open(l.Value) || l.Value == "root" || l.Value == "0" || c.Host.UserHome == nil {
		return
	}
	if _, ok := c.Host.UserHome(l.Value); !ok {
		c.fault(u, l, "service-user", "User="+l.Value+" is no account of this machine", "useradd --create-home "+l.Value)
		return
	}
	c.subIDs(l.Value, u, l)
}

// subIDs warns about a user without subordinate ids, who can map only one id into a container.
func (c *checker) subIDs(name string, u *quadlet.Unit, l *unitfile.Line) {
	if c.Host.SubIDs == nil || c.Host.SubIDs(name, false) && c.Host.SubIDs(name, true) {
		return
	}
	if _, err := strconv.Atoi(name); err == nil {
		return
	}
	const message = " has no subordinate ids in /etc/subuid and /etc/subgid, images with more than one user will not work"
	hint := "usermod --add-subuids 100000-165535 --add-subgids 100000-165535 " + name
	if l != nil {
		c.warn(u, l, "sub-ids", name+message, hint)
		return
	}
	c.more = append(c.more, report.Diagnostic{Severity: report.Warning, Code: "sub-ids", Message: name + message, Hint: hint})
}
