// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.podman.io/common/pkg/capabilities"
)

// rows is the table of all flags of run and pod create, by concern. What a row does is in set; a
// row with refused does nothing. The table is made once, and nobody changes it.
var rows = sync.OnceValue(func() []row {
	return slices.Concat(lifeRows(), imageRows(), processRows(), securityRows(), limitRows(), networkRows(), namespaceRows(),
		mountRows(), secretRows(), healthRows(), podRows(), refusedRows())
})

// The name, the life and the place in systemd of a container.
func lifeRows() []row {
	return []row{
		{name: "name", on: onBoth, kind: value, word: "NAME", usage: "Name of the container or pod",
			form: "letters, digits, _, . and -", example: "web",
			set: func(t *target, v string) error {
				if t.pod != nil {
					t.pod.Name = v
				} else {
					v = strings.TrimPrefix(v, "/") // as docker shows names
					t.container.Name = v
				}
				return CheckName(v)
			}},
		{name: "replace", on: onBoth, kind: yesno, usage: "Remove what has this name first",
			set: func(t *target, v string) error {
				if t.pod != nil {
					t.pod.Replace = v == "true"
				} else {
					t.container.Replace = v == "true"
				}
				return nil
			}},
		{name: "rm", on: onContainer, kind: yesno, usage: "Remove the container and its anonymous volumes at its end",
			set: boolean(func(c *Container) *bool { return &c.Remove })},
		{name: "rmi", on: onContainer, kind: yesno, usage: "As --rm, and remove the image unless others use it",
			set: func(t *target, v string) error {
				t.container.RemoveImage = v == "true"
				t.container.Remove = t.container.Remove || t.container.RemoveImage
				return nil
			}},
		{name: "timeout", on: onContainer, kind: value, word: "SECONDS", usage: "How long it may run before it is killed; 0 is no limit",
			form: "a number of seconds", example: "60",
			set: func(t *target, v string) error {
				n, err := strconv.ParseUint(v, 10, 31)
				t.container.MaxRun = time.Duration(n) * time.Second
				return err
			}},
		{name: "detach", short: "d", on: onContainer, kind: yesno, usage: "Return once it runs, and print its ID",
			set: boolean(func(c *Container) *bool { return &c.Detach })},
		{name: "interactive", short: "i", on: onContainer, kind: yesno, usage: "Pass standard input on",
			set: boolean(func(c *Container) *bool { return &c.Interactive })},
		{name: "tty", short: "t", on: onContainer, kind: yesno, usage: "Give it a terminal",
			set: boolean(func(c *Container) *bool { return &c.TTY })},
		{name: "attach", short: "a", on: onContainer, kind: values, word: "STREAM", usage: "Attach stdin, stdout or stderr; without it, all that there are",
			form: "stdin, stdout or stderr", example: "stdout",
			set: func(t *target, v string) error {
				v = strings.ToLower(v)
				if v != "stdin" && v != "stdout" && v != "stderr" {
					return fmt.Errorf("%q is not a stream", v)
				}
				t.container.Attach = append(t.container.Attach, v)
				return nil
			}},
		{name: "sig-proxy", on: onContainer, kind: yesno, def: "true", usage: "Pass signals on to the container",
			set: boolean(func(c *Container) *bool { return &c.SigProxy })},
		{name: "cgroups", on: onContainer, kind: value, word: "MODE", usage: "Where its cgroup goes: split, enabled, no-conmon, disabled",
			form: "split, enabled, no-conmon or disabled", example: "split",
			set: choice(func(t *target) *string { return &t.container.Cgroups }, "split", "enabled", "no-conmon", "disabled")},
		{name: "sdnotify", on: onContainer, kind: value, word: "MODE", def: "container", usage: "What tells that it is ready: conmon, container, healthy, ignore",
			form: "conmon, container, healthy or ignore", example: "conmon",
			set: choice(func(t *target) *string { return &t.container.SdNotify }, "conmon", "container", "healthy", "ignore")},
		{name: "preserve-fds", on: onContainer, kind: value, word: "N", usage: "How many open files it gets, from descriptor 3 on, besides the sockets of its unit",
			form: "a number", example: "1",
			set: func(t *target, v string) error {
				n, err := strconv.ParseUint(v, 10, 10)
				if err != nil {
					return fmt.Errorf("%q is not a number from 0 to 1023", v)
				}
				t.container.PreserveFDs = int(n)
				return nil
			}},
		{name: "preserve-fd", on: onContainer, kind: list, word: "FD", usage: "Descriptors that it gets, each under its own number, besides the sockets of its unit",
			form: "numbers from 3 on", example: "3,5",
			set: func(t *target, v string) error {
				n, err := strconv.ParseUint(v, 10, 10)
				if err != nil || n < 3 {
					return fmt.Errorf("%q is not a number from 3 to 1023", v)
				}
				t.container.PreserveFD = append(t.container.PreserveFD, int(n))
				return nil
			}},
		{name: "systemd", on: onContainer, kind: value, word: "MODE", def: "true", usage: "Prepare for systemd inside: true, false, always",
			form: "true, false or always", example: "always",
			set: choice(func(t *target) *string { return &t.container.Systemd }, "true", "false", "always")},
		{name: "restart", on: onBoth, kind: value, word: "POLICY", usage: "What follows its end: no, on-failure[:N], always, unless-stopped",
			form: "no, on-failure[:TRIES], always or unless-stopped", example: "on-failure:3",
			set: func(t *target, v string) error {
				r, err := ParseRestart(v)
				if t.pod != nil {
					t.pod.Restart = r
				} else {
					t.container.Restart = r
				}
				return err
			}},
		{name: "cidfile", on: onContainer, kind: value, word: "FILE", usage: "Write the ID to this new file",
			set: file(func(t *target) *string { return &t.container.CIDFile })},
		{name: "pidfile", on: onContainer, kind: value, word: "FILE", usage: "Write the process ID of its first process to this file",
			set: file(func(t *target) *string { return &t.container.PIDFile })},
		{name: "conmon-pidfile", on: onContainer, kind: value, word: "FILE", usage: "Write the process ID systemd watches to this file",
			set: file(func(t *target) *string { return &t.container.MainPIDFile })},
		{name: "stop-signal", on: onContainer, kind: value, word: "SIGNAL", usage: "Signal that asks it to stop (default: the image's, else TERM)",
			form: "a name or a number from 1 to 64", example: "SIGINT",
			set: func(t *target, v string) (err error) { t.container.StopSignal, err = ParseSignal(v); return err }},
		{name: "stop-timeout", on: onContainer, kind: value, word: "SECONDS", usage: "Time between the stop signal and KILL (default 10)",
			form: "a number of seconds", example: "30",
			set: func(t *target, v string) error {
				d, err := ParseDuration(v)
				t.container.StopTimeout = &d
				return err
			}},
		{name: "label", short: "l", on: onBoth, kind: values, word: "NAME[=VALUE]", usage: "Label it",
			form: "NAME or NAME=VALUE", example: "io.containers.autoupdate=registry",
			set: func(t *target, v string) error { return label(v, t.labels) }},
		{name: "label-file", on: onBoth, kind: values, word: "FILE", usage: "Label it with the lines of this file",
			set: func(t *target, v string) error {
				data, err := t.host.readFile(v)
				if err != nil {
					return err
				}
				for i, line := range strings.Split(string(data), "\n") {
					line = strings.TrimSpace(line)
					if line == "" || line[0] == '#' {
						continue
					}
					name, value, _ := strings.Cut(line, "=")
					if name == "" {
						return fmt.Errorf("line %d: the name is missing", i+1)
					}
					if _, said := t.labels[name]; !said { // --label is stronger
						t.labels[name] = value
					}
				}
				return nil
			}},
		{name: "annotation", on: onContainer, kind: values, word: "NAME=VALUE", usage: "Annotate it for the OCI runtime",
			form: "NAME=VALUE", example: "run.oci.keep_original_groups=1",
			set: func(t *target, v string) error {
				name, value, found := strings.Cut(v, "=")
				if name == "" || !found {
					return errors.New("it must have a name and a value")
				}
				if t.container.Annotations == nil {
					t.container.Annotations = map[string]string{}
				}
				t.container.Annotations[name] = value
				return nil
			}},
		{name: "log-driver", on: onContainer, kind: value, word: "DRIVER", usage: "Where output goes: journald, passthrough, none; k8s-file beside the journal",
			form: "journald, passthrough, passthrough-tty, none, k8s-file or json-file", example: "journald",
			set: func(t *target, v string) error {
				if v == "json-file" { // another name of it, as podman has it
					v = LogFile
				}
				return choice(func(t *target) *string { return &t.container.Log.Driver }, "journald", "passthrough", "passthrough-tty", "none", LogFile)(t, v)
			}},
		{name: "log-opt", on: onContainer, kind: list, word: "NAME=VALUE", usage: "Option of the log driver: tag=TEXT, label=NAME=VALUE, path=, max-size=, max-file=",
			form: "tag=TEXT, label=NAME=VALUE, path=FILE, max-size=SIZE or max-file=NUMBER", example: "tag=web",
			set: func(t *target, v string) error {
				name, value, _ := strings.Cut(v, "=")
				if !slices.Contains(logOptions, name) { // podman says it and goes on
					t.container.warn("--log-opt %s has no effect: %s are the options", name, strings.Join(logOptions, ", "))
					return nil
				}
				return t.container.Log.option(name, value, t.host.Dir)
			}},
	}
}

// The image and how to fetch it.
func imageRows() []row {
	pull := func(f func(*Pull) *string) func(*target) *string {
		return func(t *target) *string { return f(&t.container.Pull) }
	}
	return []row{
		{name: "rootfs", on: onContainer, kind: yesno, usage: "The first word is a directory, not an image",
			set: func(t *target, v string) error {
				t.container.Rootfs = nil
				if v == "true" {
					t.container.Rootfs = &Rootfs{}
				}
				return nil
			}},
		{name: "pull", on: onContainer, kind: value, word: "POLICY", def: "missing", usage: "When to pull: always, missing, never, newer",
			form: "always, missing, never or newer", example: "newer",
			set: func(t *target, v string) error {
				switch v {
				case "true":
					v = "always"
				case "false", "ifnotpresent", "IfNotPresent":
					v = "missing"
				case "Always", "Never":
					v = strings.ToLower(v)
				}
				return choice(pull(func(p *Pull) *string { return &p.Policy }), "always", "missing", "never", "newer")(t, v)
			}},
		{name: "retry", on: onContainer, kind: value, word: "N", def: "3", usage: "Further tries when pulling fails",
			form: "a number", example: "5",
			set: func(t *target, v string) error {
				n, err := number[uint](v)
				t.container.Pull.Retry = n
				return err
			}},
		{name: "retry-delay", on: onContainer, kind: value, word: "DURATION", usage: "Time between tries (default: from 2s, doubling)",
			form: "a duration", example: "10s",
			set: func(t *target, v string) error {
				d, err := ParseDuration(v)
				t.container.Pull.RetryDelay = &d
				return err
			}},
		{name: "platform", on: onContainer, kind: value, word: "OS/ARCH[/VARIANT]", usage: "Pull for this platform",
			form: "OS/ARCH[/VARIANT]", example: "linux/arm64",
			set: func(t *target, v string) error {
				parts := strings.Split(v, "/")
				if len(parts) > 3 || slices.Contains(parts, "") {
					return fmt.Errorf("%q is not a platform", v)
				}
				p := &t.container.Pull
				p.OS, p.Arch, p.Variant = "", "", ""
				for i, to := range []*string{&p.OS, &p.Arch, &p.Variant}[:len(parts)] {
					*to = parts[i]
				}
				return nil
			}},
		{name: "os", on: onContainer, kind: value, word: "OS", usage: "Pull for this operating system",
			set: text(pull(func(p *Pull) *string { return &p.OS }))},
		{name: "arch", on: onContainer, kind: value, word: "ARCH", usage: "Pull for this architecture",
			set: text(pull(func(p *Pull) *string { return &p.Arch }))},
		{name: "variant", on: onContainer, kind: value, word: "VARIANT", usage: "Pull for this variant of the architecture",
			set: text(pull(func(p *Pull) *string { return &p.Variant }))},
		{name: "tls-verify", on: onContainer, kind: yesno, usage: "Want a valid certificate from the registry (default: registries.conf)",
			set: func(t *target, v string) error {
				b := v == "true"
				t.container.Pull.TLSVerify = &b
				return nil
			}},
		{name: "authfile", on: onContainer, kind: value, word: "FILE", usage: "Registry logins",
			set: file(pull(func(p *Pull) *string { return &p.AuthFile }))},
		{name: "creds", secret: true, on: onContainer, kind: value, word: "USER[:PASSWORD]", usage: "Registry login",
			set: text(pull(func(p *Pull) *string { return &p.Creds }))},
		{name: "cert-dir", on: onContainer, kind: value, word: "DIR", usage: "Certificates for the registry",
			set: file(pull(func(p *Pull) *string { return &p.CertDir }))},
		{name: "quiet", short: "q", on: onContainer, kind: yesno, usage: "Show no progress when pulling",
			set: boolean(func(c *Container) *bool { return &c.Pull.Quiet })},
	}
}

// The first process.
func processRows() []row {
	return []row{
		{name: "entrypoint", on: onContainer, kind: value, word: "WORD", usage: "Replace the image's entrypoint: a word, a JSON array, or empty for none",
			set: func(t *target, v string) error { t.container.Entrypoint = ParseEntrypoint(v); return nil }},
		{name: "env", short: "e", on: onContainer, kind: values, word: "NAME[=VALUE]", usage: "Set a variable, or copy it from here",
			set: func(t *target, v string) error { t.env.words = append(t.env.words, v); return nil }},
		{name: "env-file", on: onContainer, kind: values, word: "FILE", usage: "Set variables from the lines of this file",
			set: func(t *target, v string) error { t.env.files = append(t.env.files, v); return nil }},
		{name: "env-host", on: onContainer, kind: yesno, usage: "Copy the whole environment from here",
			set: func(t *target, v string) error { t.env.fromHost = v == "true"; return nil }},
		{name: "http-proxy", on: onContainer, kind: yesno, def: "true", usage: "Copy the proxy variables from here",
			set: func(t *target, v string) error { t.env.httpProxy = v == "true"; return nil }},
		{name: "unsetenv", on: onContainer, kind: list, word: "NAME", usage: "Leave out a variable of the image",
			set: func(t *target, v string) error { t.container.UnsetEnv = append(t.container.UnsetEnv, v); return nil }},
		{name: "unsetenv-all", on: onContainer, kind: yesno, usage: "Leave out all variables of the image",
			set: boolean(func(c *Container) *bool { return &c.UnsetEnvAll })},
		{name: "user", short: "u", on: onContainer, kind: value, word: "USER[:GROUP]", usage: "Run as this user",
			form: "USER[:GROUP], names or numbers", example: "1000:1000",
			set: func(t *target, v string) error {
				if strings.Count(v, ":") > 1 || strings.HasPrefix(v, ":") {
					return errors.New("the user is missing")
				}
				t.container.User = v
				return nil
			}},
		{name: "group-add", on: onContainer, kind: list, word: "GROUP", usage: "Supplementary group, or keep-groups",
			form: "a group or keep-groups", example: "video",
			set: func(t *target, v string) error {
				switch v {
				case "":
					return errEmpty
				case "keep-groups":
					t.container.KeepGroups = true
				default:
					t.container.Groups = append(t.container.Groups, v)
				}
				return nil
			}},
		{name: "workdir", short: "w", on: onContainer, kind: value, word: "DIR", usage: "Working directory inside",
			form: "an absolute path inside the container", example: "/srv",
			set: func(t *target, v string) error {
				if !path.IsAbs(v) {
					return fmt.Errorf("%q is not an absolute path", v)
				}
				t.container.WorkDir = path.Clean(v)
				return nil
			}},
		{name: "umask", on: onContainer, kind: value, word: "MODE", usage: "File mode creation mask (default 0022)",
			form: "an octal number", example: "0027",
			set: func(t *target, v string) error {
				n, err := strconv.ParseUint(v, 8, 32)
				if err != nil || n > 0o777 {
					return fmt.Errorf("%q is not a mask", v)
				}
				m := uint32(n)
				t.container.Umask = &m
				return nil
			}},
		{name: "tz", on: onContainer, kind: value, word: "ZONE", usage: "Time zone, or local",
			form: "a name of the time zone database, or local", example: "Asia/Shanghai",
			set: func(t *target, v string) error {
				if path.IsAbs(v) || slices.Contains(strings.Split(v, "/"), "..") {
					return fmt.Errorf("%q is a path, not a time zone", v)
				}
				t.container.Timezone = v
				return nil
			}},
		{name: "init", on: onContainer, kind: yesno, usage: "Run a small init as the first process",
			set: boolean(func(c *Container) *bool { return &c.Init })},
		{name: "init-path", on: onContainer, kind: value, word: "FILE", usage: "The init on this machine",
			set: file(func(t *target) *string { return &t.container.InitPath })},
		{name: "passwd", on: onContainer, kind: yesno, def: "true", usage: "Add the user to /etc/passwd if it is not there",
			set: boolean(func(c *Container) *bool { return &c.Passwd })},
	}
}

// What confines it.
func securityRows() []row {
	return []row{
		{name: "privileged", on: onContainer, kind: yesno, usage: "Confine it by its namespaces only",
			set: func(t *target, v string) error { t.security.Privileged = v == "true"; return nil }},
		{name: "cap-add", on: onContainer, kind: list, word: "CAPABILITY", usage: "Add a capability, or all",
			form: "a capability or all", example: "net_raw",
			set: capability(func(s *Security) *[]string { return &s.CapAdd })},
		{name: "cap-drop", on: onContainer, kind: list, word: "CAPABILITY", usage: "Take a capability away, or all",
			form: "a capability or all", example: "all",
			set: capability(func(s *Security) *[]string { return &s.CapDrop })},
		{name: "security-opt", on: onBoth, kind: values, word: "OPTION", usage: "apparmor=, label=, mask=, no-new-privileges, proc-opts=, seccomp=, unmask=",
			form: "apparmor=, label=, mask=, no-new-privileges, proc-opts=, seccomp= or unmask=", example: "no-new-privileges",
			set: securityOpt},
		{name: "read-only", on: onContainer, kind: yesno, usage: "Make the root file system read-only",
			set: boolean(func(c *Container) *bool { return &c.ReadOnly })},
		{name: "read-only-tmpfs", on: onContainer, kind: yesno, def: "true", usage: "With --read-only, put tmpfs on /dev, /run, /tmp and the like",
			set: boolean(func(c *Container) *bool { return &c.ReadOnlyTmpfs })},
		{name: "sysctl", on: onBoth, kind: list, word: "NAME=VALUE", usage: "Set a kernel parameter of its namespaces",
			form: "NAME=VALUE", example: "net.ipv4.ip_unprivileged_port_start=80",
			set: func(t *target, v string) error {
				name, value, found := strings.Cut(v, "=")
				name, value = strings.TrimSpace(name), strings.TrimSpace(value)
				if !found || name == "" {
					return errors.New("it must have a name and a value")
				}
				if t.security.Sysctls == nil {
					t.security.Sysctls = map[string]string{}
				}
				t.security.Sysctls[strings.ReplaceAll(name, "/", ".")] = value
				return nil
			}},
	}
}

func securityOpt(t *target, v string) error {
	s := t.security
	name, value, given := strings.Cut(v, "=")
	if !given {
		// Docker's older form has a colon.
		if n, old, colon := strings.Cut(v, ":"); colon && n != "no-new-privileges" {
			name, value, given = n, old, true
		}
	}
	if name != "no-new-privileges" && !strings.HasPrefix(name, "no-new-privileges:") && value == "" {
		return fmt.Errorf("%s has no value", name)
	}
	switch name {
	case "no-new-privileges":
		s.NoNewPrivileges = true
		if given {
			b, err := strconv.ParseBool(value)
			if err != nil {
				return fmt.Errorf("%q is neither true nor false", value)
			}
			s.NoNewPrivileges = b
		}
	case "no-new-privileges:true":
		s.NoNewPrivileges = true
	case "no-new-privileges:false":
		s.NoNewPrivileges = false
	case "apparmor":
		s.AppArmor = value
	case "seccomp":
		s.Seccomp = value
		if value != "unconfined" {
			s.Seccomp = absolute(value, t.host.Dir)
		}
	case "label":
		word, _, _ := strings.Cut(value, ":")
		if !slices.Contains([]string{"disable", "nested", "user", "role", "type", "level", "filetype"}, word) {
			return fmt.Errorf("%q is not a label; disable, nested, user:, role:, type:, level: and filetype: are", value)
		}
		s.SELinux = append(s.SELinux, value)
	case "mask":
		for _, p := range strings.Split(value, ":") {
			if !path.IsAbs(p) {
				return fmt.Errorf("%q is not an absolute path", p)
			}
			s.Mask = append(s.Mask, path.Clean(p))
		}
	case "unmask":
		for _, p := range strings.Split(value, ":") {
			if !path.IsAbs(p) && !strings.EqualFold(p, "all") {
				return fmt.Errorf("%q is not ALL and not an absolute path", p)
			}
			s.Unmask = append(s.Unmask, p)
		}
	case "proc-opts":
		s.ProcOpts = append(s.ProcOpts, strings.Split(value, ",")...)
	default:
		return fmt.Errorf("%q is not an option", name)
	}
	return nil
}

// Its resources.
func limitRows() []row {
	// size is a limit of which zero means none, as podman has it.
	size := func(f func(*Limits) **int64) func(*target, string) error {
		return func(t *target, v string) error {
			n, err := ParseSize(v)
			*f(t.limits) = &n
			if n == 0 {
				*f(t.limits) = nil
			}
			return err
		}
	}
	rate := func(f func(*Limits) *[]DeviceRate, read func(string) (uint64, error)) func(*target, string) error {
		return func(t *target, v string) error {
			r, err := parseRate(v, read)
			*f(t.limits) = append(*f(t.limits), r)
			return err
		}
	}
	bytes := func(s string) (uint64, error) { n, err := ParseSize(s); return uint64(n), err }
	const sizeForm, rateForm = "a size in bytes, or with the suffix b, k, m or g", "DEVICE:RATE"
	return []row{
		{name: "memory", short: "m", on: onBoth, kind: value, word: "SIZE", usage: "Memory limit", form: sizeForm, example: "512m",
			set: size(func(l *Limits) **int64 { return &l.Memory })},
		{name: "memory-swap", on: onBoth, kind: value, word: "SIZE", usage: "Limit of memory and swap together, -1 for none",
			form: sizeForm + ", or -1", example: "1g",
			set: func(t *target, v string) error {
				if v == "-1" {
					n := int64(-1)
					t.limits.MemorySwap = &n
					return nil
				}
				return size(func(l *Limits) **int64 { return &l.MemorySwap })(t, v)
			}},
		{name: "memory-reservation", on: onContainer, kind: value, word: "SIZE", usage: "Memory to keep for it", form: sizeForm, example: "256m",
			set: size(func(l *Limits) **int64 { return &l.MemoryReservation })},
		{name: "memory-swappiness", on: onContainer, kind: value, word: "N", usage: "Tendency to swap, 0 to 100, -1 for the default (cgroup v1)",
			form: "-1, or a number from 0 to 100", example: "60",
			set: func(t *target, v string) error {
				if v == "-1" {
					return nil
				}
				n, err := number[uint64](v)
				if err == nil && n > 100 {
					err = fmt.Errorf("%d is too large", n)
				}
				t.limits.MemorySwappiness = &n
				return err
			}},
		{name: "oom-kill-disable", on: onContainer, kind: yesno, usage: "Do not kill it when memory runs out (cgroup v1)",
			set: func(t *target, v string) error { t.limits.OOMKillDisable = v == "true"; return nil }},
		{name: "oom-score-adj", on: onContainer, kind: value, word: "N", usage: "How soon it is killed when memory runs out, -1000 to 1000",
			form: "a number from -1000 to 1000", example: "500",
			set: func(t *target, v string) error {
				n, err := strconv.Atoi(v)
				if err != nil || n < -1000 || n > 1000 {
					return fmt.Errorf("%q is not such a number", v)
				}
				t.limits.OOMScoreAdj = &n
				return nil
			}},
		{name: "cpus", on: onBoth, kind: value, word: "N", usage: "Number of cores", form: "a number of cores", example: "1.5",
			set: func(t *target, v string) error {
				n, err := strconv.ParseFloat(v, 64)
				if err != nil || n < 0 || n > 1e5 || n != n {
					return fmt.Errorf("%q is not such a number", v)
				}
				if n == 0 { // no limit, as podman has it
					t.limits.CPUs = nil
					return nil
				}
				t.limits.CPUs = &n
				return nil
			}},
		{name: "cpu-shares", short: "c", on: onBoth, kind: value, word: "N", usage: "Weight among others, default 1024", form: "a number", example: "512",
			set: limit(func(l *Limits) **uint64 { return &l.CPUShares })},
		{name: "cpu-quota", on: onContainer, kind: value, word: "N", usage: "Microseconds of CPU in a period", form: "a number", example: "50000",
			set: limit(func(l *Limits) **int64 { return &l.CPUQuota })},
		{name: "cpu-period", on: onContainer, kind: value, word: "N", usage: "Microseconds of a period", form: "a number", example: "100000",
			set: limit(func(l *Limits) **uint64 { return &l.CPUPeriod })},
		{name: "cpu-rt-runtime", on: onContainer, kind: value, word: "N", usage: "Microseconds of real-time CPU in a period (cgroup v1)", form: "a number", example: "95000",
			set: limit(func(l *Limits) **int64 { return &l.CPURTRuntime })},
		{name: "cpu-rt-period", on: onContainer, kind: value, word: "N", usage: "Microseconds of a real-time period (cgroup v1)", form: "a number", example: "1000000",
			set: limit(func(l *Limits) **uint64 { return &l.CPURTPeriod })},
		{name: "cpuset-cpus", on: onBoth, kind: value, word: "LIST", usage: "Cores to run on", form: "a list of numbers and ranges", example: "0-2,4",
			set: numberList(func(l *Limits) *string { return &l.CpusetCPUs })},
		{name: "cpuset-mems", on: onBoth, kind: value, word: "LIST", usage: "Memory nodes to use", form: "a list of numbers and ranges", example: "0,1",
			set: numberList(func(l *Limits) *string { return &l.CpusetMems })},
		{name: "blkio-weight", on: onBoth, kind: value, word: "N", usage: "Weight of its disk access, 10 to 1000", form: "a number from 10 to 1000", example: "500",
			set: func(t *target, v string) error {
				w, err := weight(v)
				t.limits.BlkioWeight = &w
				return err
			}},
		{name: "blkio-weight-device", on: onBoth, kind: list, word: "DEVICE:N", usage: "Weight of its access to a disk", form: "DEVICE:WEIGHT", example: "/dev/sda:500",
			set: func(t *target, v string) error {
				dev, n, _ := strings.Cut(v, ":")
				w, err := weight(n)
				if !strings.HasPrefix(dev, "/") {
					err = fmt.Errorf("%q is not a device", dev)
				}
				t.limits.BlkioWeightDevice = append(t.limits.BlkioWeightDevice, DeviceWeight{dev, w})
				return err
			}},
		{name: "device-read-bps", on: onBoth, kind: list, word: "DEVICE:RATE", usage: "Bytes it may read in a second", form: rateForm, example: "/dev/sda:10mb",
			set: rate(func(l *Limits) *[]DeviceRate { return &l.DeviceReadBPS }, bytes)},
		{name: "device-write-bps", on: onBoth, kind: list, word: "DEVICE:RATE", usage: "Bytes it may write in a second", form: rateForm, example: "/dev/sda:10mb",
			set: rate(func(l *Limits) *[]DeviceRate { return &l.DeviceWriteBPS }, bytes)},
		{name: "device-read-iops", on: onContainer, kind: list, word: "DEVICE:RATE", usage: "Reads in a second", form: rateForm, example: "/dev/sda:1000",
			set: rate(func(l *Limits) *[]DeviceRate { return &l.DeviceReadIOPS }, number[uint64])},
		{name: "device-write-iops", on: onContainer, kind: list, word: "DEVICE:RATE", usage: "Writes in a second", form: rateForm, example: "/dev/sda:1000",
			set: rate(func(l *Limits) *[]DeviceRate { return &l.DeviceWriteIOPS }, number[uint64])},
		{name: "pids-limit", on: onContainer, kind: value, word: "N", usage: "Number of processes and threads, -1 for no limit (default 2048)",
			form: "a number, or -1 for no limit", example: "4096",
			set: func(t *target, v string) error {
				n, err := number[int64](v)
				if n < 0 || n == 0 { // 0 and -1 both mean no limit
					n = -1
				}
				t.limits.PidsLimit = &n
				return err
			}},
		{name: "cgroup-conf", on: onContainer, kind: list, word: "NAME=VALUE", usage: "Write a cgroup v2 file", form: "FILE=VALUE", example: "memory.high=1073741824",
			set: func(t *target, v string) error {
				name, value, found := strings.Cut(v, "=")
				if !found || name == "" || strings.Contains(name, "/") {
					return errors.New("it must have the name of a cgroup file and a value")
				}
				if t.limits.CgroupConf == nil {
					t.limits.CgroupConf = map[string]string{}
				}
				t.limits.CgroupConf[name] = value
				return nil
			}},
		{name: "shm-size", on: onBoth, kind: value, word: "SIZE", usage: "Size of /dev/shm, 0 for no limit (default 64m)", form: sizeForm, example: "128m",
			set: func(t *target, v string) error {
				n, err := ParseSize(v)
				t.limits.ShmSize = &n
				return err
			}},
		{name: "ulimit", on: onContainer, kind: list, word: "NAME=SOFT[:HARD]", usage: "Resource limit, or host for those of the runner",
			form: "NAME=SOFT[:HARD] or host", example: "nofile=1024:2048",
			set: func(t *target, v string) error {
				if v == "host" {
					t.limits.HostUlimits = true
					return nil
				}
				u, err := ParseUlimit(v)
				t.limits.Ulimits = append(t.limits.Ulimits, u)
				return err
			}},
	}
}

// How it meets the network.
func networkRows() []row {
	ports := "[[IP:][HOSTPORT]:]PORT[/tcp|/udp|/sctp], ports may be ranges"
	return []row{
		{name: "network", aliases: []string{"net"}, on: onBoth, kind: values, word: "MODE", usage: "none, host, pasta[:OPTIONS], container:NAME, ns:PATH, bridge or the name of a network, with :ip=IP,alias=NAME...",
			form: "none, host, pasta[:OPTIONS], container:NAME, ns:PATH, bridge or the name of a network", example: "pasta",
			set: func(t *target, v string) error {
				if v == "" && t.container != nil { // as podman: the default
					return nil
				}
				words := []string{v}
				// The first may be a list of plain names.
				if len(t.net.Networks) == 0 && !strings.Contains(v, ":") {
					words = strings.Split(v, ",")
				}
				for _, w := range words {
					n, err := ParseNetwork(w)
					if err != nil {
						return err
					}
					t.net.Networks = append(t.net.Networks, n)
				}
				return nil
			}},
		{name: "network-alias", on: onBoth, kind: list, word: "NAME", usage: "Another name on its named networks", form: "a host name", example: "db",
			set: func(t *target, v string) error {
				if v == "" || strings.ContainsAny(v, " \t\n,") {
					return fmt.Errorf("%q is not a name", v)
				}
				t.net.Aliases = append(t.net.Aliases, v)
				return nil
			}},
		{name: "ip", on: onBoth, kind: value, word: "IP", usage: "IPv4 address on its named network", form: "an IPv4 address", example: "10.89.0.7",
			set: func(t *target, v string) (err error) {
				if t.net.IP, err = netip.ParseAddr(v); err != nil || !t.net.IP.Is4() {
					return fmt.Errorf("%q is not an IPv4 address", v)
				}
				return nil
			}},
		{name: "ip6", on: onBoth, kind: value, word: "IP", usage: "IPv6 address on its named network", form: "an IPv6 address", example: "fd00::7",
			set: func(t *target, v string) (err error) {
				if t.net.IP6, err = netip.ParseAddr(v); err != nil || !t.net.IP6.Is6() || t.net.IP6.Zone() != "" {
					return fmt.Errorf("%q is not an IPv6 address", v)
				}
				return nil
			}},
		{name: "mac-address", on: onBoth, kind: value, word: "MAC", usage: "MAC address on its named network", form: "a MAC address", example: "92:d0:c6:0a:29:33",
			set: func(t *target, v string) (err error) {
				if t.net.MAC, err = net.ParseMAC(v); err != nil || len(t.net.MAC) != 6 {
					return fmt.Errorf("%q is not a MAC address", v)
				}
				return nil
			}},
		{name: "publish", short: "p", on: onBoth, kind: list, word: "PORTS", usage: "Publish a port on the host", form: ports, example: "127.0.0.1:8080:80",
			set: func(t *target, v string) error {
				m, err := ParsePort(v)
				t.net.Publish = append(t.net.Publish, m)
				return err
			}},
		{name: "publish-all", short: "P", on: onContainer, kind: yesno, usage: "Publish every exposed port on a free port of the host",
			set: func(t *target, v string) error { t.net.PublishAll = v == "true"; return nil }},
		{name: "expose", on: onContainer, kind: list, word: "PORTS", usage: "Ports it listens on, for --publish-all", form: "PORT[-PORT][/tcp|/udp|/sctp]", example: "8080",
			set: func(t *target, v string) error {
				r, err := ParsePortRange(v)
				t.net.Expose = append(t.net.Expose, r)
				return err
			}},
		{name: "hostname", short: "h", on: onBoth, kind: value, word: "NAME", usage: "Host name inside", form: "a host name", example: "web.example.org",
			set: func(t *target, v string) error {
				if err := CheckHostname(v); err != nil {
					return err
				}
				t.net.Hostname = v
				return nil
			}},
		{name: "add-host", on: onBoth, kind: list, word: "NAME:IP", usage: "Line of /etc/hosts", form: "NAME[;NAME...]:IP, or host-gateway for the IP", example: "db:10.0.0.7",
			set: func(t *target, v string) error {
				e, err := ParseHostEntry(v)
				t.net.AddHosts = append(t.net.AddHosts, e)
				return err
			}},
		{name: "no-hosts", on: onBoth, kind: yesno, usage: "Leave the image's /etc/hosts alone",
			set: func(t *target, v string) error { t.net.NoHosts = v == "true"; return nil }},
		{name: "no-hostname", on: onBoth, kind: yesno, usage: "Leave the image's /etc/hostname alone",
			set: func(t *target, v string) error { t.net.NoHostname = v == "true"; return nil }},
		{name: "hosts-file", on: onBoth, kind: value, word: "FILE", usage: "Where /etc/hosts starts from: a file, image or none",
			set: func(t *target, v string) error {
				t.net.HostsFile = v
				if v != "image" && v != "none" && v != "" {
					t.net.HostsFile = absolute(v, t.host.Dir)
				}
				return nil
			}},
		{name: "dns", on: onBoth, kind: list, word: "IP", usage: "Name server, or none to leave /etc/resolv.conf alone", form: "an IP address, or none", example: "9.9.9.9",
			set: func(t *target, v string) error {
				if v != "none" {
					if _, err := netip.ParseAddr(v); err != nil {
						return fmt.Errorf("%q is not an IP address", v)
					}
				}
				t.net.DNS = append(t.net.DNS, v)
				return nil
			}},
		{name: "dns-search", on: onBoth, kind: list, word: "DOMAIN", usage: "Search domain, . for none", form: "a domain", example: "example.org",
			set: func(t *target, v string) error {
				if v == "" || strings.ContainsAny(v, " \t\n") {
					return fmt.Errorf("%q is not a domain", v)
				}
				t.net.DNSSearch = append(t.net.DNSSearch, v)
				return nil
			}},
		{name: "dns-option", aliases: []string{"dns-opt"}, on: onBoth, kind: list, word: "OPTION", usage: "Option of the resolver", form: "an option of resolv.conf(5)", example: "ndots:1",
			set: func(t *target, v string) error {
				if v == "" || strings.ContainsAny(v, " \t\n") {
					return fmt.Errorf("%q is not an option", v)
				}
				t.net.DNSOptions = append(t.net.DNSOptions, v)
				return nil
			}},
	}
}

// Its namespaces.
func namespaceRows() []row {
	mapping := func(f func(*IDMapping) *[]IDMap) func(*target, string) error {
		return func(t *target, v string) error {
			r, err := ParseIDMap(v)
			*f(t.ids) = append(*f(t.ids), r)
			return err
		}
	}
	const idMap = "[+][u][g]INSIDE:[@]OUTSIDE[:NUMBER]"
	return []row{
		{name: "userns", on: onBoth, kind: value, word: "MODE", usage: "User namespace: host, keep-id[:uid=,gid=,size=], auto[:size=], nomap, container:NAME, ns:PATH",
			form: "host, keep-id[:uid=U,gid=G,size=N], auto[:size=N,uidmapping=C:H:N,gidmapping=C:H:N], nomap, container:NAME or ns:PATH", example: "keep-id:uid=1000,gid=1000",
			set: func(t *target, v string) error {
				if t.private = v == userPrivate; t.private {
					return nil
				}
				u, err := ParseUserNS(v)
				t.ids.UserNS = u
				return err
			}},
		{name: "uidmap", on: onBoth, kind: list, word: "INSIDE:OUTSIDE:N", usage: "Map user IDs", form: idMap, example: "0:1:1000",
			set: mapping(func(m *IDMapping) *[]IDMap { return &m.UIDMap })},
		{name: "gidmap", on: onBoth, kind: list, word: "INSIDE:OUTSIDE:N", usage: "Map group IDs", form: idMap, example: "0:1:1000",
			set: mapping(func(m *IDMapping) *[]IDMap { return &m.GIDMap })},
		{name: "subuidname", on: onBoth, kind: value, word: "NAME", usage: "Map the user IDs of this name in /etc/subuid, as root", form: "a name in /etc/subuid", example: "containers",
			set: text(func(t *target) *string { return &t.ids.SubUIDName })},
		{name: "subgidname", on: onBoth, kind: value, word: "NAME", usage: "Map the group IDs of this name in /etc/subgid, as root", form: "a name in /etc/subgid", example: "containers",
			set: text(func(t *target) *string { return &t.ids.SubGIDName })},
		{name: "pod", on: onContainer, kind: value, word: "NAME", usage: "Pod to join, or new:NAME for one to be made", form: "the name of a pod", example: "web",
			set: func(t *target, v string) error {
				name, made := strings.CutPrefix(v, "new:")
				if t.container.Pod, t.container.NewPod = name, nil; made {
					t.container.NewPod = &Pod{Name: name}
				}
				return CheckName(name)
			}},
		{name: "pid", on: onBoth, kind: value, word: "MODE", usage: "Process namespace: private, host, container:NAME, ns:PATH",
			form: "private, host, container:NAME or ns:PATH", example: "host",
			set: func(t *target, v string) error {
				ns, err := ParseNamespace(v, "private", "host")
				if t.pod != nil {
					t.pod.PIDNS = ns
				} else {
					t.container.PIDNS = ns
				}
				return err
			}},
		{name: "uts", on: onBoth, kind: value, word: "MODE", usage: "Namespace of the host name: private, host, container:NAME, ns:PATH",
			form: "private, host, container:NAME or ns:PATH", example: "private",
			set: func(t *target, v string) error {
				ns, err := ParseNamespace(v, "private", "host")
				if t.pod != nil {
					t.pod.UTSNS = ns
				} else {
					t.container.UTSNS = ns
				}
				return err
			}},
		{name: "ipc", on: onContainer, kind: value, word: "MODE", usage: "Namespace of shared memory: private, shareable, none, host, container:NAME, ns:PATH",
			form: "private, shareable, none, host, container:NAME or ns:PATH", example: "shareable",
			set: func(t *target, v string) (err error) {
				t.container.IPCNS, err = ParseNamespace(v, "private", "shareable", "none", "host")
				return err
			}},
		{name: "cgroupns", on: onContainer, kind: value, word: "MODE", usage: "Cgroup namespace: private, host, container:NAME, ns:PATH",
			form: "private, host, container:NAME or ns:PATH", example: "private",
			set: func(t *target, v string) (err error) {
				t.container.CgroupNS, err = ParseNamespace(v, "private", "host")
				return err
			}},
	}
}

// Its files.
func mountRows() []row {
	return []row{
		{name: "volume", short: "v", on: onBoth, kind: values, word: "[SOURCE:]DIR[:OPTIONS]", usage: "Mount a host directory or a volume",
			form: "[SOURCE:]DESTINATION[:OPTIONS]", example: "/srv/www:/www:ro",
			set: func(t *target, v string) error { m, err := ParseVolume(v, t.host.Dir); return t.mount(m, err) }},
		{name: "mount", on: onBoth, kind: values, word: "type=TYPE,...", usage: "Mount anything",
			form: "type=TYPE,source=...,destination=...", example: "type=bind,source=/srv,destination=/srv",
			set: func(t *target, v string) error { m, err := ParseMount(v, t.host.Dir); return t.mount(m, err) }},
		{name: "volumes-from", on: onBoth, kind: values, word: "CONTAINER[:ro|rw]", usage: "Mount what another container has mounted",
			form: "CONTAINER[:ro|rw|z|Z]", example: "web:ro",
			set: func(t *target, v string) error {
				from, err := ParseVolumesFrom(v)
				if t.pod != nil {
					t.pod.VolumesFrom = append(t.pod.VolumesFrom, from)
				} else {
					t.container.VolumesFrom = append(t.container.VolumesFrom, from)
				}
				return err
			}},
		{name: "tmpfs", on: onContainer, kind: values, word: "DIR[:OPTIONS]", usage: "Mount an empty file system in memory",
			form: "DESTINATION[:OPTIONS]", example: "/tmp:size=64m,mode=1777",
			set: func(t *target, v string) error { m, err := ParseTmpfs(v); return t.mount(m, err) }},
		{name: "image-volume", on: onContainer, kind: value, word: "MODE", usage: "What becomes of the image's volumes: anonymous, tmpfs, ignore",
			form: "anonymous, tmpfs or ignore", example: "ignore",
			set: func(t *target, v string) error {
				if v == "bind" {
					v = "anonymous"
				}
				return choice(func(t *target) *string { return &t.container.ImageVolumes }, "anonymous", "tmpfs", "ignore")(t, v)
			}},
		{name: "device", on: onBoth, kind: list, word: "HOST[:INSIDE][:rwm]", usage: "Show a device of the host, or VENDOR/CLASS=NAME",
			form: "HOST[:INSIDE][:rwm], or VENDOR/CLASS=NAME of the container device interface", example: "/dev/dri:/dev/dri:rw",
			set: func(t *target, v string) error {
				d, err := ParseDevice(v)
				*t.devices = append(*t.devices, d)
				return err
			}},
		{name: "gpus", on: onContainer, kind: values, word: "all|NUMBER,...", usage: "GPUs of NVIDIA, as --device nvidia.com/gpu=...",
			form: "all, or numbers", example: "all",
			set: func(t *target, v string) error {
				all, err := ParseGPUs(v)
				*t.devices = append(*t.devices, all...)
				return err
			}},
		{name: "device-cgroup-rule", on: onContainer, kind: values, word: "TYPE MAJOR:MINOR ACCESS", usage: "Allow devices that may come, as root",
			form: "TYPE MAJOR:MINOR ACCESS", example: "c 188:* rwm",
			set: func(t *target, v string) error {
				r, err := ParseDeviceRule(v)
				t.container.DeviceRules = append(t.container.DeviceRules, r)
				return err
			}},
	}
}

// What must not be in a record.
func secretRows() []row {
	return []row{
		{name: "secret", on: onContainer, kind: values, word: "NAME[,OPTION...]", usage: "Secret to give it: type=mount|env|credential, target=, uid=, gid=, mode=",
			form: "NAME[,type=mount|env|credential][,target=TARGET][,uid=UID][,gid=GID][,mode=MODE]", example: "db-password,type=env,target=PGPASSWORD",
			set: func(t *target, v string) error {
				s, err := ParseSecret(v)
				if err == nil {
					t.container.Secrets = append(t.container.Secrets, s)
				}
				return err
			}},
	}
}

// How it is told whether it is well.
func healthRows() []row {
	regular := func(t *target) *HealthCheck {
		if t.container.Health == nil {
			t.container.Health = &HealthCheck{}
		}
		return t.container.Health
	}
	startup := func(t *target) *HealthCheck {
		if t.container.StartupHealth == nil {
			t.container.StartupHealth = &HealthCheck{}
		}
		return t.container.StartupHealth
	}
	test := func(of func(*target) *HealthCheck) func(*target, string) error {
		return func(t *target, v string) error {
			words, err := ParseHealthTest(v)
			if words != nil {
				of(t).Test = words
			}
			return err
		}
	}
	duration := func(read func(string) (time.Duration, error), f func(*target) **time.Duration) func(*target, string) error {
		return func(t *target, v string) error {
			d, err := read(v)
			if err == nil {
				*f(t) = &d
			}
			return err
		}
	}
	amount := func(f func(*target) **uint) func(*target, string) error {
		return func(t *target, v string) error {
			n, err := number[uint](v)
			if err == nil {
				*f(t) = &n
			}
			return err
		}
	}
	const command, period = "COMMAND", "a duration with its unit"
	flag := func(name, word, usage, form, example string, set func(*target, string) error) row {
		r := row{name: name, on: onContainer, kind: value, word: word, usage: usage, form: form, example: example, set: set}
		switch name { // what podman called them first, and still takes
		case "health-cmd":
			r.aliases = []string{"healthcheck-command"}
		case "health-interval", "health-retries", "health-start-period", "health-timeout":
			r.aliases = []string{"healthcheck-" + strings.TrimPrefix(name, "health-")}
		}
		return r
	}
	return []row{
		flag("health-cmd", command, "Check whether it is well: a shell command, a JSON array, or none", "a command, or none", "'curl -f localhost'",
			test(regular)),
		flag("health-interval", "DURATION", "Time between checks, or disable (default 30s)", period+", or disable", "1m",
			duration(ParseHealthInterval, func(t *target) **time.Duration { return &regular(t).Interval })),
		flag("health-timeout", "DURATION", "How long a check may take (default 30s)", period, "10s",
			duration(healthDuration, func(t *target) **time.Duration { return &regular(t).Timeout })),
		flag("health-start-period", "DURATION", "How long failures do not count after the start (default 0s)", period, "1m",
			duration(healthDuration, func(t *target) **time.Duration { return &regular(t).StartPeriod })),
		flag("health-retries", "N", "Failures in a row that make it unhealthy (default 3)", "a number from 1", "5",
			amount(func(t *target) **uint { return &regular(t).Retries })),
		flag("health-on-failure", "ACTION", "What an unhealthy one gets: none, kill, restart, stop", "none, kill, restart or stop", "restart",
			func(t *target, v string) error {
				if v == "none" {
					t.container.OnUnhealthy = ""
					return nil
				}
				return choice(func(t *target) *string { return &t.container.OnUnhealthy }, "kill", "restart", "stop")(t, v)
			}),
		flag("health-log-destination", "PLACE", "Where results go: local, events_logger, or a directory", "local, events_logger or a directory", "/var/log/health",
			func(t *target, v string) error {
				if v == "" {
					return errEmpty
				}
				if v != "local" && v != "events_logger" {
					v = absolute(v, t.host.Dir)
				}
				t.container.HealthLog.Destination = v
				return nil
			}),
		flag("health-max-log-count", "N", "How many results are kept, 0 for all (default 5)", "a number", "20",
			amount(func(t *target) **uint { return &t.container.HealthLog.Count })),
		flag("health-max-log-size", "BYTES", "How much of each output is kept, 0 for all (default 500)", "a number of bytes", "4096",
			amount(func(t *target) **uint { return &t.container.HealthLog.Size })),
		flag("health-startup-cmd", command, "Check at the start, before the other ones: a shell command or a JSON array", "a command", "'test -e /run/ready'",
			test(startup)),
		flag("health-startup-interval", "DURATION", "Time between checks at the start, or disable (default 30s)", period+", or disable", "5s",
			duration(ParseHealthInterval, func(t *target) **time.Duration { return &startup(t).Interval })),
		flag("health-startup-timeout", "DURATION", "How long a check at the start may take (default 30s)", period, "10s",
			duration(healthDuration, func(t *target) **time.Duration { return &startup(t).Timeout })),
		flag("health-startup-retries", "N", "Failures at the start that restart it, 0 for none (default 0)", "a number", "10",
			amount(func(t *target) **uint { return &startup(t).Retries })),
		flag("health-startup-success", "N", "How often a check at the start must pass (default 1)", "a number", "2",
			amount(func(t *target) **uint { return &startup(t).Successes })),
		{name: "no-healthcheck", on: onContainer, kind: yesno, usage: "Run no health check, not even the image's",
			set: func(t *target, v string) error { t.noHealth = v == "true"; return nil }},
	}
}

// A pod's own.
func podRows() []row {
	return []row{
		{name: "infra", on: onPod, kind: yesno, def: "true", usage: "Have a process that holds the shared namespaces",
			set: func(t *target, v string) error { t.pod.Infra = v == "true"; return nil }},
		{name: "infra-name", on: onPod, kind: value, word: "NAME", usage: "Name of the infra container", form: "letters, digits, _, . and -", example: "web-infra",
			set: func(t *target, v string) error { t.pod.InfraName = v; return CheckName(v) }},
		{name: "infra-conmon-pidfile", on: onPod, kind: value, word: "FILE", usage: "Write the process ID of the infra process to this file",
			set: file(func(t *target) *string { return &t.pod.MainPIDFile })},
		{name: "infra-image", on: onPod, kind: value, refused: "the infra process is built in and needs no image; leave it out"},
		{name: "infra-command", on: onPod, kind: value, refused: "the infra process is built in; leave it out"},
		{name: "exit-policy", on: onPod, kind: value, word: "POLICY", def: "continue", usage: "What the end of the last container does: stop, continue",
			form: "stop or continue", example: "stop",
			set: choice(func(t *target) *string { return &t.pod.ExitPolicy }, "stop", "continue")},
		{name: "share", on: onPod, kind: value, word: "LIST", def: "ipc,net,uts", usage: "Namespaces its containers share",
			form: "a list of ipc, net, pid and uts, none for nothing, or + and a list to add to ipc,net,uts", example: "net,ipc",
			set: func(t *target, v string) error {
				shared := []string{}
				if rest, added := strings.CutPrefix(v, "+"); added {
					shared, v = []string{"ipc", "net", "uts"}, rest
				}
				for _, ns := range strings.Split(v, ",") {
					switch ns {
					case "none", "":
						continue
					case "cgroup":
						return errors.New("each container has the cgroup of its own unit; leave cgroup out")
					case "ipc", "net", "pid", "uts":
						if !slices.Contains(shared, ns) {
							shared = append(shared, ns)
						}
					default:
						return fmt.Errorf("%q is not a namespace", ns)
					}
				}
				t.pod.Share = shared
				return nil
			}},
		{name: "pod-id-file", on: onPod, kind: value, word: "FILE", usage: "Write the pod's ID to this file",
			set: file(func(t *target) *string { return &t.pod.PodIDFile })},
	}
}

// What is refused, with the reason and what to do instead.
func refusedRows() []row {
	var rows []row
	never := func(on on, kind kind, name, why string) {
		rows = append(rows, row{name: name, on: on, kind: kind, refused: why})
	}
	never(onContainer, value, "detach-keys", "there is no detaching from a terminal; start it with --detach and use podunit logs and podunit exec")
	never(onContainer, value, "requires", "set Requires= and After= in the [Unit] section of the unit")
	never(onContainer, value, "rdt-class", "cache allocation classes are not supported")
	never(onContainer, value, "personality", "execution domains are not supported")
	never(onContainer, value, "seccomp-policy", "give the profile with --security-opt seccomp=FILE")
	never(onContainer, list, "chrootdirs", "directories for chroot are not managed; mount what they need with --volume")
	never(onContainer, list, "hostuser", "make the user known inside with --userns keep-id, or mount /etc/passwd")
	never(onContainer, value, "passwd-entry", "mount a file with --volume FILE:/etc/passwd:ro")
	never(onContainer, value, "group-entry", "mount a file with --volume FILE:/etc/group:ro")
	never(onContainer, list, "env-merge", "write the whole value with --env")
	never(onBoth, value, "shm-size-systemd", "give the size with --tmpfs /run:size=SIZE")
	never(onContainer, value, "init-ctr", "order the units with After= and Requires=")
	never(onContainer, values, "decryption-key", "pull the image before: podunit pull --decryption-key KEY IMAGE, or DecryptionKey= of a .image file")
	rows[len(rows)-1].secret = true // FILE:PASSWORD
	never(onContainer, list, "link-local-ip", "link-local addresses are not supported")
	never(onContainer, value, "pod-id-file", "name the pod with --pod")
	never(onContainer, value, "volume-driver", "drivers of volumes are given to podunit volume create")
	never(onContainer, list, "storage-opt", "no container has a quota of its own; --read-only with --tmpfs DIR:size=SIZE and volumes says how much it can write, and size in [storage.options.overlay] of storage.conf is for all of root's, on xfs with pquota")
	never(onContainer, yesno, "disable-content-trust", "image signatures are judged by policy.json; see containers-policy.json(5)")
	never(onBoth, value, "cgroup-parent", "a container is in the cgroup of its unit; set Slice= in the [Service] section of the unit")
	never(onPod, values, "gpus", "give it to the containers that need it, with --gpus of run and create")
	never(onPod, yesno, "share-parent", "each container of a pod is a unit of its own; the units of a pod with limits are in one slice")
	return rows
}

func (t *target) mount(m Mount, err error) error {
	if err != nil {
		return err
	}
	for _, other := range *t.mounts {
		if m.equal(other) {
			return nil // said twice; a Volume= of a unit and one of its drop-in, for example
		}
		if m.Destination != "" && other.Destination == m.Destination {
			return fmt.Errorf("%s is mounted on twice", m.Destination)
		}
	}
	*t.mounts = append(*t.mounts, m)
	return nil
}

// boolean sets a field of a container.
func boolean(f func(*Container) *bool) func(*target, string) error {
	return func(t *target, v string) error { *f(t.container) = v == "true"; return nil }
}

// text sets a string that must not be empty.
func text(f func(*target) *string) func(*target, string) error {
	return func(t *target, v string) error {
		if v == "" {
			return errEmpty
		}
		*f(t) = v
		return nil
	}
}

// file sets the path of a file of the host.
func file(f func(*target) *string) func(*target, string) error {
	return func(t *target, v string) error {
		if v == "" {
			return errEmpty
		}
		*f(t) = absolute(v, t.host.Dir)
		return nil
	}
}

// choice sets a string to one of the words.
func choice(f func(*target) *string, words ...string) func(*target, string) error {
	return func(t *target, v string) error {
		if !slices.Contains(words, v) {
			return fmt.Errorf("%q is none of the choices", v)
		}
		*f(t) = v
		return nil
	}
}

func capability(f func(*Security) *[]string) func(*target, string) error {
	return func(t *target, v string) error {
		if _, err := capabilities.NormalizeCapabilities([]string{v}); err != nil {
			return fmt.Errorf("%q is not a capability; see capabilities(7)", v)
		}
		*f(t.security) = append(*f(t.security), v)
		return nil
	}
}

func number[T int64 | uint64 | uint](s string) (T, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || int64(T(n)) != n || (n < 0) != (T(n) < 0) {
		return 0, fmt.Errorf("%q is not a number", s)
	}
	return T(n), nil
}

func limit[T int64 | uint64](f func(*Limits) **T) func(*target, string) error {
	return func(t *target, v string) error {
		n, err := number[T](v)
		*f(t.limits) = &n
		if n == 0 { // 0 means the default, as podman has it
			*f(t.limits) = nil
		}
		return err
	}
}

func weight(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n < 10 || n > 1000 {
		return 0, fmt.Errorf("%q is not a number from 10 to 1000", s)
	}
	return uint16(n), nil
}

func numberList(f func(*Limits) *string) func(*target, string) error {
	return func(t *target, v string) error {
		for _, part := range strings.Split(v, ",") {
			from, to, isRange := strings.Cut(part, "-")
			a, err := number[uint64](from)
			if err != nil {
				return err
			}
			if isRange {
				b, err := number[uint64](to)
				if err != nil {
					return err
				}
				if b < a {
					return fmt.Errorf("the range %s runs backwards", part)
				}
			}
		}
		*f(t.limits) = v
		return nil
	}
}

func label(v string, to map[string]string) error {
	name, value, _ := strings.Cut(v, "=")
	if name == "" {
		return errors.New("the name is missing")
	}
	to[name] = value
	return nil
}
