// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/podunit/podunit/runner/safe"
)

// environment gathers the flags that make the environment; their order on the
// command line does not matter, their rank does.
type environment struct {
	fromHost  bool
	httpProxy bool
	files     []string
	words     []string
}

// merge applies, from weak to strong: the host's proxy variables, the host's
// environment with --env-host, the files, the words. Source: podman-run(1),
// ENVIRONMENT.
func (e environment) merge(host Host) (map[string]string, Faults) {
	env := map[string]string{}
	var faults Faults
	if e.httpProxy {
		for _, name := range []string{"http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY"} {
			if v, ok := lookup(host.Environ, name); ok {
				env[name] = v
			}
		}
	}
	if e.fromHost {
		for _, kv := range host.Environ {
			name, v, _ := strings.Cut(kv, "=")
			// These speak of the runner's own unit and would mislead a program
			// inside: readiness is reported through --sdnotify only.
			if !unitVariable(name) {
				env[name] = v
			}
		}
	}
	for _, file := range e.files {
		if err := readAssignments(file, host, env); err != nil {
			faults = append(faults, &Fault{Flag: "env-file", Value: file, Err: err})
		}
	}
	for _, w := range e.words {
		if err := assign(w, host, env); err != nil {
			faults = append(faults, &Fault{Flag: "env", Value: w, Err: err, Form: "NAME=VALUE, or NAME or NAME* from the runner's own environment", Example: "TZ=Asia/Shanghai"})
		}
	}
	return env, faults
}

func unitVariable(name string) bool {
	switch name {
	case "NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "MAINPID", "MANAGERPID", "INVOCATION_ID", "JOURNAL_STREAM",
		"CREDENTIALS_DIRECTORY", "SYSTEMD_EXEC_PID", "WATCHDOG_PID", "WATCHDOG_USEC", "MEMORY_PRESSURE_WATCH", "MEMORY_PRESSURE_WRITE":
		return true
	}
	return strings.HasPrefix(name, "_CONTAINERS_") || strings.HasPrefix(name, "_PODUNIT_")
}

// assign takes NAME=VALUE, NAME (copied from the host if set there) or NAME*
// (all of the host that begin so).
func assign(w string, host Host, to map[string]string) error {
	name, v, given := strings.Cut(w, "=")
	switch {
	case name == "":
		return errors.New("the name is missing")
	case strings.ContainsRune(w, 0):
		return errors.New("it holds a NUL byte")
	case given:
		to[name] = v
	case strings.HasSuffix(name, "*"):
		for _, kv := range host.Environ {
			if n, v, _ := strings.Cut(kv, "="); strings.HasPrefix(n, strings.TrimSuffix(name, "*")) {
				to[n] = v
			}
		}
	default:
		if v, ok := lookup(host.Environ, name); ok {
			to[name] = v
		}
	}
	return nil
}

// readAssignments reads a file with one assignment a line; empty lines and
// those that begin with # are skipped, and quotes are ordinary characters.
func readAssignments(file string, host Host, to map[string]string) error {
	data, err := host.readFile(file)
	if err != nil {
		return err
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	for i, line := range strings.Split(string(data), "\n") {
		line = strings.TrimLeft(strings.TrimSuffix(line, "\r"), " \t")
		if line == "" || line[0] == '#' {
			continue
		}
		if name, _, _ := strings.Cut(line, "="); strings.ContainsAny(name, " \t") {
			// The line itself stays out of the message: it may hold a secret.
			return fmt.Errorf("line %d: the name holds white space; write NAME=VALUE", i+1)
		}
		if err := assign(line, host, to); err != nil {
			return fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	return nil
}

// maxFile is the most bytes of a file of variables or labels: what the kernel takes as the
// whole environment of a process with the usual limit of its stack. Source: execve(2).
const maxFile = 2 << 20

func (h Host) readFile(file string) ([]byte, error) {
	file = absolute(file, h.Dir)
	if h.ReadFile != nil {
		return h.ReadFile(file)
	}
	if safe.Own(file) {
		return safe.ReadGiven(file, maxFile)
	}
	return safe.ReadFile(file, maxFile)
}

func lookup(environ []string, name string) (string, bool) {
	for _, kv := range environ {
		if n, v, _ := strings.Cut(kv, "="); n == name {
			return v, true
		}
	}
	return "", false
}

func absolute(p, dir string) string {
	if path.IsAbs(p) {
		return p
	}
	return path.Join(dir, p)
}
