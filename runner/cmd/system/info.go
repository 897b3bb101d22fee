// SPDX-License-Identifier: Apache-2.0

// Package system holds verbs about the machine, and about objects of any kind, a file for each.
package system

import (
	"os"
	"os/exec"
	"runtime"
	"strings"

	"github.com/podunit/podunit/runner/cgroup"
	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/format"
	"github.com/podunit/podunit/runner/service"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"sigs.k8s.io/yaml"
)

// information is what info shows; keys are podman's where it has them.
type information struct {
	Host    hostInfo     `json:"host"`
	Store   storeInfo    `json:"store"`
	Systemd systemdInfo  `json:"systemd"`
	Version cli.Versions `json:"version"`
}

type hostInfo struct {
	Arch        string            `json:"arch"`
	OS          string            `json:"os"`
	Kernel      string            `json:"kernel"`
	CPUs        int               `json:"cpus"`
	Hostname    string            `json:"hostname"`
	Rootless    bool              `json:"rootless"`
	UID         int               `json:"uid"`
	Cgroup2     bool              `json:"cgroup2"`
	Controllers []string          `json:"cgroupControllers"`
	Programs    map[string]string `json:"programs"`
	UIDMap      []string          `json:"uidMap"`
	GIDMap      []string          `json:"gidMap"`

	OCIRuntime     runtimeInfo  `json:"ociRuntime"`
	Pasta          pastaInfo    `json:"pasta"`
	NetworkBackend string       `json:"networkBackend"`
	Security       securityInfo `json:"security"`
	RemoteSocket   socketInfo   `json:"remoteSocket"`
}

// runtimeInfo is the OCI runtime that a container gets which asks for none.
type runtimeInfo struct {
	Name    string `json:"name"`
	Path    string `json:"path"`
	Version string `json:"version"`
}

// pastaInfo is the program that connects rootless containers; empty where there is none.
type pastaInfo struct {
	Executable string `json:"executable"`
	Version    string `json:"version"`
}

// securityInfo is what confines containers on this machine.
type securityInfo struct {
	AppArmorEnabled     bool   `json:"apparmorEnabled"`
	DefaultCapabilities string `json:"capabilities"` // of a container that asks for none
	Rootless            bool   `json:"rootless"`
	SECCOMPEnabled      bool   `json:"seccompEnabled"`
	SECCOMPProfilePath  string `json:"seccompProfilePath"` // empty for the built-in one
	SELinuxEnabled      bool   `json:"selinuxEnabled"`
}

// socketInfo is where programs written for a daemon would find it: there is none.
type socketInfo struct {
	Exists bool   `json:"exists"`
	Path   string `json:"path"`
}

type storeInfo struct {
	GraphRoot  string `json:"graphRoot"`
	RunRoot    string `json:"runRoot"`
	Driver     string `json:"graphDriverName"`
	Images     int    `json:"images"`
	Containers int    `json:"containers"`
	Running    int    `json:"running"`
	Pods       int    `json:"pods"`
	RunDir     string `json:"runDir"`
}

type systemdInfo struct {
	Manager string `json:"manager"` // where units of this user live, or why they cannot
	Linger  bool   `json:"linger"`  // whether they run while nobody is logged in
}

// NewInfo makes podunit info.
func NewInfo(e *cli.Env) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "info [flags]",
		Short: "Show what podunit found on this machine",
		Args:  cli.WantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			info, err := collect(e, cmd)
			if err != nil {
				return err
			}
			switch {
			case out == "":
				b, err := yaml.Marshal(info)
				if err != nil {
					return err
				}
				_, err = e.Stdout.Write(b)
				return err
			case format.IsJSON(out):
				return format.JSON(e.Stdout, info)
			}
			return format.Each(e.Stdout, out, []information{info})
		},
	}
	cmd.Flags().StringVarP(&out, "format", "f", "", "Go `TEMPLATE`, or json")
	return cmd
}

func collect(e *cli.Env, cmd *cobra.Command) (information, error) {
	x, err := e.Open(cmd.Context())
	if err != nil {
		return information{}, err
	}
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return information{}, err
	}
	hostname, _ := os.Hostname() // shown only
	info := information{
		Host: hostInfo{
			Arch: runtime.GOARCH, OS: runtime.GOOS, Kernel: unix.ByteSliceToString(uts.Release[:]), CPUs: runtime.NumCPU(),
			Hostname: hostname, Rootless: e.User.Rootless(), UID: e.User.UID, Programs: map[string]string{},
			UIDMap: lines("/proc/self/uid_map"), GIDMap: lines("/proc/self/gid_map"),
		},
		Store: storeInfo{
			GraphRoot: x.Containers.Store.GraphRoot(), RunRoot: x.Containers.Store.RunRoot(), Driver: x.Containers.Store.GraphDriverName(), RunDir: x.Containers.RunDir,
		},
		Version: e.Versions(),
	}
	if cgroup.Supported() == nil {
		info.Host.Cgroup2 = true
		info.Host.Controllers = strings.Fields(strings.Join(lines("/sys/fs/cgroup/cgroup.controllers"), " "))
	}
	for name, pkg := range service.Programs {
		path, err := exec.LookPath(name)
		if err != nil {
			path = "not found: apt install " + pkg
		}
		info.Host.Programs[name] = path
	}
	if err := info.Host.confine(x); err != nil {
		return information{}, err
	}
	images, err := x.Containers.Store.Images()
	if err != nil {
		return information{}, err
	}
	info.Store.Images = len(images)
	containers, err := x.Containers.List()
	if err != nil {
		return information{}, err
	}
	info.Store.Containers = len(containers)
	for _, r := range containers {
		if s, err := x.Containers.Status(r.ID); err == nil && s.PID != 0 {
			info.Store.Running++
		}
	}
	pods, err := x.Pods.List()
	if err != nil {
		return information{}, err
	}
	info.Store.Pods = len(pods)
	if m, err := e.Manager(cmd.Context()); err != nil {
		info.Systemd.Manager = err.Error()
	} else {
		m.Close()
		info.Systemd.Manager = map[bool]string{true: "user", false: "system"}[e.User.Rootless()]
	}
	// Source: loginctl(1), enable-linger: a file of the user's name.
	if name, ok := e.Lookup("USER"); ok {
		_, err := os.Stat("/var/lib/systemd/linger/" + name)
		info.Systemd.Linger = err == nil
	}
	return info, nil
}

// lines reads a short file of the kernel's, blanks folded; nil if it is not there.
func lines(path string) []string {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	var out []string
	for line := range strings.Lines(string(b)) {
		out = append(out, strings.Join(strings.Fields(line), " "))
	}
	return out
}
