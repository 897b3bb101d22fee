// SPDX-License-Identifier: Apache-2.0

package export

import (
	"fmt"
	"slices"
	"strings"

	"github.com/podunit/podunit/generator/keys"
	"github.com/podunit/podunit/generator/specifier"
	"github.com/podunit/podunit/generator/unitfile"
)

// updates is the label that has its own key.
const updates = "io.containers.autoupdate"

// Quadlet writes unit files that make the same again.
func Quadlet(containers []Container, pods []Pod, plays []Play) ([]File, error) {
	var out []File
	for _, p := range plays {
		name := base(p.Name)
		out = append(out,
			File{name + ".kube", "[Unit]\nDescription=Pod " + specifier.Escape(p.Name) + "\n\n[Kube]\nYaml=" + specifier.Escape(name) + ".yaml\n\n[Install]\nWantedBy=default.target\n", 0o644},
			File{name + ".yaml", string(p.YAML), 0o600})
	}
	for _, p := range pods {
		f, err := quadletPod(p)
		if err != nil {
			return nil, err
		}
		out = append(out, f)
		for _, c := range p.Containers {
			f, err := quadletContainer(c, p.Name)
			if err != nil {
				return nil, err
			}
			out = append(out, f)
		}
	}
	for _, c := range containers {
		f, err := quadletContainer(c, "")
		if err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, nil
}

func quadletContainer(c Container, pod string) (File, error) {
	l, err := readContainer(c)
	if err != nil {
		return File{}, err
	}
	policy, _ := l.last("restart")
	_, rootfs := l.last("rootfs")
	longest, _ := l.last("timeout")
	l = l.without("detach", "rm", "rmi", "replace", "name", "restart", "timeout", "cgroups", "cidfile", "pod", "sdnotify", "pidfile", "conmon-pidfile", "rootfs", "interactive")
	w := &writer{section: keys.Lookup("Container")}
	w.line("[Unit]")
	w.line("Description=Container " + specifier.Escape(c.Name))
	w.line("\n[Container]")
	if rootfs {
		w.set("Rootfs", l.rest[0])
	} else {
		w.set("Image", l.rest[0])
	}
	w.set("ContainerName", c.Name)
	if pod != "" {
		w.set("Pod", base(pod)+".pod")
	}
	w.flags(l)
	if len(l.rest) > 1 {
		var words []string
		for _, word := range l.rest[1:] {
			words = append(words, unitfile.Quote(specifier.EscapeExec(word)))
		}
		w.line("Exec=" + strings.Join(words, " "))
	}
	w.service(policy, longest)
	return File{base(c.Name) + ".container", w.String(), 0o644}, nil
}

func quadletPod(p Pod) (File, error) {
	l, err := readPod(p)
	if err != nil {
		return File{}, err
	}
	policy, _ := l.last("restart")
	l = l.without("name", "replace", "infra-conmon-pidfile", "pod-id-file", "exit-policy", "restart")
	w := &writer{section: keys.Lookup("Pod")}
	w.line("[Unit]")
	w.line("Description=Pod " + specifier.Escape(p.Name))
	w.line("\n[Pod]")
	w.set("PodName", p.Name)
	w.flags(l)
	w.service(policy, "")
	return File{base(p.Name) + ".pod", w.String(), 0o644}, nil
}

// writer writes one unit file.
type writer struct {
	strings.Builder
	section *keys.Section
}

func (w *writer) line(text string) { w.WriteString(text + "\n") }

func (w *writer) set(key, value string) { w.line(key + "=" + specifier.Escape(value)) }

// flags writes each flag as its key; those that have none are words for the runner.
func (w *writer) flags(l line) {
	var rest []string
	for _, s := range l.flags {
		if s.name == "label" {
			if name, value, _ := strings.Cut(s.value, "="); name == updates && (value == "registry" || value == "local") {
				w.set("AutoUpdate", value)
				continue
			}
		}
		if k := w.key(s); k != "" {
			w.line(k)
			continue
		}
		rest = append(rest, unitfile.Quote(specifier.EscapeExec(s.word())))
	}
	if len(rest) > 0 {
		w.line("PodmanArgs=" + strings.Join(rest, " "))
	}
}

// named are keys whose flag the generator's table does not name, since it looks at their values.
var named = map[string]string{"volume": "Volume", "mount": "Mount", "tmpfs": "Tmpfs", "network": "Network", "device": "AddDevice"}

// key is a flag as an assignment, or empty if no key says the same.
func (w *writer) key(s said) string {
	i := slices.IndexFunc(w.section.Keys, func(k keys.Key) bool {
		return k.Name == named[s.name] || k.Deprecated == "" && strings.TrimSuffix(k.Flag, "=") == "--"+s.name
	})
	if i < 0 || strings.ContainsAny(s.value, "\n\r") {
		return ""
	}
	k := w.section.Keys[i]
	value := specifier.Escape(s.value)
	switch k.Kind {
	case keys.Words, keys.Env, keys.Args:
		value = unitfile.Quote(value)
	case keys.String, keys.StringEmpty, keys.Number:
		if value == "" || strings.HasPrefix(value, `"`) {
			return ""
		}
	case keys.Bool, keys.Switch:
		if !s.yesno {
			return ""
		}
	case keys.List:
		if value == "" {
			return ""
		}
	default:
		return ""
	}
	return k.Name + "=" + value
}

// service writes what follows the end, how many seconds it may run at most, and that it starts at
// boot.
func (w *writer) service(policy, longest string) {
	word, tries := restart(policy)
	limited := longest != "" && longest != "0"
	if word != "no" || limited {
		if tries != "" {
			w.WriteString(strings.Replace(w.swap(), "[Unit]\n", fmt.Sprintf("[Unit]\nStartLimitIntervalSec=infinity\nStartLimitBurst=%s\n", tries), 1))
		}
		w.line("\n[Service]")
		if word != "no" {
			w.line("Restart=" + word)
		}
		if limited {
			w.line("RuntimeMaxSec=" + longest)
		}
	}
	w.line("\n[Install]\nWantedBy=default.target")
}

// swap empties the writer and gives what it had.
func (w *writer) swap() string {
	text := w.String()
	w.Reset()
	return text
}
