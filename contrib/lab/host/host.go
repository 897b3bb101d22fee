// SPDX-License-Identifier: Apache-2.0

// Package host prepares the machine that labs run on: the programs they need, from Debian's packages.
package host

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// programs that a lab runs on the host, each with the Debian package that brings it.
func programs() [][2]string {
	return [][2]string{
		{"systemd-nspawn", "systemd-container"},
		{"mmdebstrap", "mmdebstrap"},
		{"nsenter", "util-linux"},
		{"setpriv", "util-linux"},
		{"ip", "iproute2"},
		{"cp", "coreutils"},
	}
}

// Prepare installs what a lab needs and is missing, with apt-get. It fails when that is not allowed
// here, and says what to install.
func Prepare(ctx context.Context, log io.Writer) error { return prepare(ctx, log, programs()) }

// PrepareVM is Prepare for what a virtual machine needs besides.
func PrepareVM(ctx context.Context, log io.Writer) error {
	return prepare(ctx, log, [][2]string{
		{"qemu-system-x86_64", "qemu-system-x86"},
		{"mke2fs", "e2fsprogs"},
		{"tar", "tar"},
	})
}

// PrepareDisk is Prepare for what a lab with a disk of its own needs besides.
func PrepareDisk(ctx context.Context, log io.Writer) error {
	return prepare(ctx, log, [][2]string{{"mke2fs", "e2fsprogs"}, {"mount", "mount"}})
}

func prepare(ctx context.Context, log io.Writer, programs [][2]string) error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("a lab needs root, this is uid %d: run it with sudo", os.Geteuid())
	}
	var missing []string
	for _, p := range programs {
		if _, err := exec.LookPath(p[0]); err != nil {
			missing = append(missing, p[1])
		}
	}
	// Modules that the kernel may load only when asked; one that is built in, or that we may not
	// load, shows itself later.
	if _, err := exec.LookPath("modprobe"); err == nil {
		_ = exec.CommandContext(ctx, "modprobe", "-q", "-a", "tun", "fuse", "overlay", "veth", "loop").Run()
	}
	if len(missing) == 0 {
		return nil
	}
	list := strings.Join(missing, " ")
	fmt.Fprintf(log, "installing %s\n", list)
	if err := Command(ctx, log, "apt-get", "update", "-qq").Run(); err != nil {
		return fmt.Errorf("apt-get update: %w; install by hand: %s", err, list)
	}
	install := append([]string{"install", "-y", "-qq", "--no-install-recommends"}, missing...)
	if err := Command(ctx, log, "apt-get", install...).Run(); err != nil {
		return fmt.Errorf("apt-get install: %w; install by hand: %s", err, list)
	}
	return nil
}

// Command is a command without standard input whose output goes to log, in a plain English
// environment.
func Command(ctx context.Context, log io.Writer, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive")
	return cmd
}

// AptOptions are the host's settings for reaching its packages, in apt.conf syntax.
func AptOptions(ctx context.Context) ([]string, error) {
	out, err := exec.CommandContext(ctx, "apt-config", "dump").Output()
	if err != nil {
		return nil, fmt.Errorf("apt-config dump: %w; the host must be Debian or a relative of it", err)
	}
	var opts []string
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		name, value, _ := strings.Cut(line, " ")
		if value == `"";` {
			continue
		}
		for _, want := range []string{"::Proxy", "::Retries", "Acquire::Check-Valid-Until", "Acquire::Check-Date"} {
			if strings.HasPrefix(name, "Acquire::") && strings.Contains(name, want) {
				opts = append(opts, line)
				break
			}
		}
	}
	return opts, nil
}
