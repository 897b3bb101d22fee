// SPDX-License-Identifier: Apache-2.0

package unit

import (
	"errors"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"time"

	systemd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
)

// Service is a transient service, with the settings that a service has which the
// generator writes. The zero value of a field leaves the manager's default.
type Service struct {
	Description string
	// Type is notify if empty.
	Type string
	// PIDFile names the main process of a service of type forking.
	PIDFile string
	// Start, Stop and StopPost are commands, each word by word; the first word
	// is an absolute path. Failures of Stop and StopPost are ignored.
	Start, Stop, StopPost []string
	// Twice has StopPost executed once more: where it was killed, the second completes it.
	Twice bool
	// StartPost is executed when the service is up; processes that it starts stay. If it fails, so
	// does the start.
	StartPost []string
	// Environment is all that the commands get besides what the manager has.
	Environment []string
	// Directory is the working directory.
	Directory string
	// Identifier is the name of its lines in the journal.
	Identifier string
	// Restart is the manager's word: no, always, on-failure …
	Restart string
	// MaxRestarts ends the restarts; zero means no limit. It matters only
	// with Restart.
	MaxRestarts uint
	// StartTimeout and StopTimeout are those of the whole unit; negative means
	// no limit.
	StartTimeout, StopTimeout time.Duration
	// Collect forgets the service as soon as it has ended, also if it failed.
	Collect bool
	// Requires, BindsTo and After are units.
	Requires, BindsTo, After []string
	// Slice is the slice it goes to.
	Slice string
	// Remain keeps a service of type oneshot active when its command has ended.
	Remain bool
	// Settings are further ones, by the names and with the types that they have on D-Bus. They come
	// after all others, so that the manager takes theirs.
	Settings map[string]any
}

// restartDelay is the pause before a restart. Without a limit on the number of
// restarts systemd's own 100 ms would keep a core busy with a container that
// cannot start.
const restartDelay = time.Second

// properties are the settings as the manager's D-Bus interface has them, in a
// fixed order. Source: org.freedesktop.systemd1(5), systemd.service(5).
func (s Service) properties() ([]systemd.Property, error) {
	if len(s.Start) == 0 {
		return nil, errors.New("a service needs a command")
	}
	kind := s.Type
	if kind == "" {
		kind = "notify"
	}
	props := []systemd.Property{
		prop("Description", s.Description),
		prop("Type", kind),
		prop("NotifyAccess", "all"),
		prop("Delegate", true),
		prop("KillMode", s.killMode()),
		// A burst of lines is no accident in a container's log. Zero would not turn
		// journald's limit off, it is the manager's word for "not set". In a
		// user's service it is the limit of user@.service that counts, see units/.
		prop("LogRateLimitIntervalUSec", usec(time.Second)),
		prop("LogRateLimitBurst", uint32(100_000_000)),
	}
	add := func(ok bool, p systemd.Property) {
		if ok {
			props = append(props, p)
		}
	}
	add(s.PIDFile != "", prop("PIDFile", s.PIDFile))
	for _, c := range []struct {
		name   string
		words  []string
		ignore bool
	}{{"ExecStart", s.Start, false}, {"ExecStartPost", s.StartPost, false}, {"ExecStop", s.Stop, true}, {"ExecStopPost", s.StopPost, true}} {
		if len(c.words) == 0 {
			continue
		}
		if !filepath.IsAbs(c.words[0]) {
			return nil, errors.New(c.name + ": " + c.words[0] + " is not an absolute path")
		}
		commands := []command{{Path: c.words[0], Args: c.words, IgnoreFailure: c.ignore}}
		if s.Twice && c.name == "ExecStopPost" {
			commands = append(commands, commands[0])
		}
		props = append(props, prop(c.name, commands))
	}
	add(len(s.Environment) > 0, prop("Environment", s.Environment))
	add(s.Directory != "", prop("WorkingDirectory", s.Directory))
	add(s.Identifier != "", prop("SyslogIdentifier", s.Identifier))
	if s.Restart != "" && s.Restart != "no" {
		props = append(props, prop("Restart", s.Restart), prop("RestartUSec", usec(restartDelay)))
		if s.MaxRestarts > 0 {
			// The limit counts starts, the first one too, and never forgets.
			props = append(props, prop("StartLimitIntervalUSec", uint64(math.MaxUint64)), prop("StartLimitBurst", uint32(s.MaxRestarts+1)))
		} else {
			props = append(props, prop("StartLimitIntervalUSec", uint64(0)))
		}
	} else {
		// Without a restart policy only people start it, and they may do so as often as they like.
		props = append(props, prop("StartLimitIntervalUSec", uint64(0)))
	}
	add(s.StartTimeout != 0, prop("TimeoutStartUSec", usec(s.StartTimeout)))
	add(s.StopTimeout != 0, prop("TimeoutStopUSec", usec(s.StopTimeout)))
	add(s.Collect, prop("CollectMode", "inactive-or-failed"))
	add(len(s.Requires) > 0, prop("Requires", s.Requires))
	add(len(s.BindsTo) > 0, prop("BindsTo", s.BindsTo))
	add(len(s.After) > 0, prop("After", s.After))
	add(s.Slice != "", prop("Slice", s.Slice))
	add(s.Remain, prop("RemainAfterExit", true))
	for _, name := range slices.Sorted(maps.Keys(s.Settings)) {
		props = append(props, prop(name, s.Settings[name]))
	}
	return props, nil
}

// killMode is who gets SIGTERM besides the main process. When a main process fails, systemd skips
// ExecStop= and goes on to what is left. With mixed it kills that at once, the log copier with
// lines in its hands; with control-group all get SIGTERM, which the copier ignores until it has
// handed them over. In a pod's unit nothing is handed over, and what is left hears SIGKILL only.
func (s Service) killMode() string {
	if s.PIDFile != "" {
		return "mixed"
	}
	return "control-group"
}

// command is one Exec line, signature (sasb).
type command struct {
	Path          string
	Args          []string
	IgnoreFailure bool
}

func prop(name string, value any) systemd.Property {
	return systemd.Property{Name: name, Value: dbus.MakeVariant(value)}
}

// usec is a time as systemd has it: microseconds, the highest number for never.
func usec(d time.Duration) uint64 {
	if d < 0 {
		return math.MaxUint64
	}
	return uint64(d.Microseconds())
}

// RestartFor is systemd's word for a container's restart policy. A service that
// somebody stops is not started again whatever the policy, so always and
// unless-stopped, which differ elsewhere, are one. Source: podman-run(1), --restart.
func RestartFor(policy string) string {
	switch policy {
	case "", "no", "never":
		return "no"
	case "unless-stopped":
		return "always"
	}
	return policy
}

// Environment is what podunit itself reads from its environment, for a service
// that goes on with what a shell began. Nothing else of the shell leaks into it.
func Environment(environ []string) []string {
	names := []string{
		"PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "LANG",
		"XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME",
		"http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy",
		"HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY",
		"SSL_CERT_FILE", "SSL_CERT_DIR",
		"CONTAINERS_CONF", "CONTAINERS_CONF_OVERRIDE", "CONTAINERS_STORAGE_CONF", "CONTAINERS_REGISTRIES_CONF",
		"REGISTRY_AUTH_FILE", "DOCKER_CONFIG",
		"_PODUNIT_CHOICE", // store.ChoiceVariable; no container gets it with --env-host
	}
	var out []string
	for _, kv := range environ {
		name, _, _ := strings.Cut(kv, "=")
		if slices.Contains(names, name) || strings.HasPrefix(name, "PODUNIT_") {
			out = append(out, kv)
		}
	}
	slices.Sort(out)
	return out
}
