// SPDX-License-Identifier: Apache-2.0

package system

import (
	"os"
	"os/exec"
	"runtime"
	"strings"

	"github.com/podunit/podunit/runner/cgroup"
	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/format"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/service"
	"github.com/podunit/podunit/runner/store"
	"github.com/podunit/podunit/runner/unit"
	"github.com/spf13/cobra"
	"go.podman.io/image/v5/pkg/sysregistriesv2"
	"go.podman.io/image/v5/types"
	"golang.org/x/sys/unix"
	"sigs.k8s.io/yaml"
)

// information is what info shows; keys are podman's where it has them.
type information struct {
	Host    hostInfo    `json:"host"`
	Store   storeInfo   `json:"store"`
	Systemd systemdInfo `json:"systemd"`
	// Registries has the key search: the registries in which short names are looked for.
	Registries map[string]any `json:"registries"`
	Plugins    pluginInfo     `json:"plugins"`
	Version    cli.Versions   `json:"version"`
}

type hostInfo struct {
	Arch           string            `json:"arch"`
	OS             string            `json:"os"`
	Kernel         string            `json:"kernel"`
	CPUs           int               `json:"cpus"`
	Hostname       string            `json:"hostname"`
	Rootless       bool              `json:"rootless"`
	UID            int               `json:"uid"`
	Cgroup2        bool              `json:"cgroup2"`
	CgroupManager  string            `json:"cgroupManager"`
	CgroupsVersion string            `json:"cgroupVersion"`
	Controllers    []string          `json:"cgroupControllers"`
	Distribution   distribution      `json:"distribution"`
	EventLogger    string            `json:"eventLogger"`
	FirstPort      int               `json:"firstPort"` // that this user may publish; zero when the kernel does not say
	IDMappings     idMappings        `json:"idMappings"`
	LogDriver      string            `json:"logDriver"`
	MemFree        int64             `json:"memFree"`  // bytes
	MemTotal       int64             `json:"memTotal"` // bytes
	SwapFree       int64             `json:"swapFree"`
	SwapTotal      int64             `json:"swapTotal"`
	NetworkBackend string            `json:"networkBackend"`
	OCIRuntime     runtimeInfo       `json:"ociRuntime"`
	Pasta          pastaInfo         `json:"pasta"`
	Programs       map[string]string `json:"programs"`
	RemoteSocket   socketInfo        `json:"remoteSocket"`
	RootlessNet    string            `json:"rootlessNetworkCmd"`
	Security       securityInfo      `json:"security"`
	// ServiceIsRemote is podman's; it never is.
	ServiceIsRemote bool     `json:"serviceIsRemote"`
	Uptime          string   `json:"uptime"`
	CPUUtilization  cpuUse   `json:"cpuUtilization"`
	Variant         string   `json:"variant"` // of the processor; empty on amd64
	UIDMap          []string `json:"uidMap"`
	GIDMap          []string `json:"gidMap"`
}

// cpuUse is what the processors did since the machine booted, in percent.
type cpuUse struct {
	User   float64 `json:"userPercent"`
	System float64 `json:"systemPercent"`
	Idle   float64 `json:"idlePercent"`
}

type distribution struct {
	Codename     string `json:"codename,omitempty"`
	Distribution string `json:"distribution"`
	Variant      string `json:"variant,omitempty"`
	Version      string `json:"version"`
}

// idMappings are those of the user namespace that containers are in; empty for root.
type idMappings struct {
	GIDMap []idRange `json:"gidmap"`
	UIDMap []idRange `json:"uidmap"`
}

type idRange struct {
	ContainerID int `json:"container_id"`
	HostID      int `json:"host_id"`
	Size        int `json:"size"`
}

// runtimeInfo is the OCI runtime of containers that ask for none.
type runtimeInfo struct {
	Name    string `json:"name"`
	Package string `json:"package"`
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

// socketInfo is the socket of a daemon, for scripts that ask for it: there is none.
type socketInfo struct {
	Exists bool   `json:"exists"`
	Path   string `json:"path"`
}

type storeInfo struct {
	ConfigFile         string            `json:"configFile"`
	ContainerStore     containerCount    `json:"containerStore"`
	GraphDriverName    string            `json:"graphDriverName"`
	GraphOptions       []string          `json:"graphOptions"`
	GraphRoot          string            `json:"graphRoot"`
	GraphRootAllocated uint64            `json:"graphRootAllocated"` // bytes of its file system
	GraphRootUsed      uint64            `json:"graphRootUsed"`      // bytes of its file system
	GraphStatus        map[string]string `json:"graphStatus"`
	ImageStore         imageCount        `json:"imageStore"`
	ImageCopyTmpDir    string            `json:"imageCopyTmpDir"`
	RunRoot            string            `json:"runRoot"`
	TransientStore     bool              `json:"transientStore"`
	VolumePath         string            `json:"volumePath"`
	Driver             string            `json:"-"` // GraphDriverName, by an older name
	Images             int               `json:"images"`
	Containers         int               `json:"containers"`
	Running            int               `json:"running"`
	Pods               int               `json:"pods"`
	RunDir             string            `json:"runDir"`
}

type containerCount struct {
	Number  int `json:"number"`
	Paused  int `json:"paused"`
	Running int `json:"running"`
	Stopped int `json:"stopped"`
}

type imageCount struct {
	Number int `json:"number"`
}

// pluginInfo are the drivers of each kind.
type pluginInfo struct {
	Log     []string `json:"log"`
	Network []string `json:"network"`
	Volume  []string `json:"volume"`
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
		Store:   storeOf(x),
		Plugins: pluginInfo{Log: []string{"journald", "none", "passthrough"}, Network: []string{"bridge", "macvlan", "ipvlan"}, Volume: []string{"local"}},
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
	info.Store.ConfigFile = configFile(e)
	if err := count(x, &info.Store); err != nil {
		return information{}, err
	}
	if err := info.Host.confine(x); err != nil {
		return information{}, err
	}
	info.Host.more(e)
	if err := store.JudgeRegistries(); err != nil {
		return information{}, hint.With(err, "see containers-registries.conf(5)")
	}
	search, err := sysregistriesv2.UnqualifiedSearchRegistries(&types.SystemContext{})
	if err != nil {
		return information{}, err
	}
	info.Registries = map[string]any{"search": search}
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
	info.Systemd.Linger = unit.Lingers(e.LoginName())
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
