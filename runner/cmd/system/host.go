// SPDX-License-Identifier: Apache-2.0

package system

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/podunit/podunit/runner/runc"
	"github.com/podunit/podunit/runner/service"
)

// confine fills in the runtime, the network programs and the security modules of this machine. The
// names of its fields are those that scripts ask podman for.
func (h *hostInfo) confine(x *service.Engine) error {
	name, err := runc.Configured(x.Containers.Config, x.Modules)
	if err != nil {
		return err
	}
	if x.Runtime != "" {
		name = x.Runtime
	}
	switch r, err := runc.Find(name, x.Containers.Runtime.Root); {
	case err == nil:
		h.OCIRuntime = runtimeInfo{Name: filepath.Base(r.Command), Package: "unknown", Path: r.Command, Version: firstLine(r.Command)}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if path, err := exec.LookPath("pasta"); err == nil {
		h.Pasta = pastaInfo{Executable: path, Version: firstLine(path)}
	}
	h.NetworkBackend = "pasta"
	if _, err := x.Containers.Config.FindHelperBinary("netavark", true); err == nil {
		h.NetworkBackend = "netavark"
	}
	_, apparmor := os.Stat("/sys/kernel/security/apparmor/profiles")
	_, seccomp := os.Stat("/proc/sys/kernel/seccomp")
	_, selinux := os.Stat("/sys/fs/selinux/enforce")
	h.Security = securityInfo{
		AppArmorEnabled: apparmor == nil && !h.Rootless, SELinuxEnabled: selinux == nil, Rootless: h.Rootless,
		SECCOMPEnabled: seccomp == nil, SECCOMPProfilePath: x.Containers.Config.Containers.SeccompProfile,
		DefaultCapabilities: strings.Join(x.Containers.Config.Containers.DefaultCapabilities.Get(), ","),
	}
	return nil
}

// firstLine is the first line of a program's answer to --version.
func firstLine(program string) string {
	text, err := exec.Command(program, "--version").Output()
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return line
}
