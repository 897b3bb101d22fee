// SPDX-License-Identifier: Apache-2.0

package system

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/podunit/podunit/runner/cgroup"
	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/format"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/image"
	"github.com/podunit/podunit/runner/image/registry"
	"github.com/podunit/podunit/runner/network"
	"github.com/podunit/podunit/runner/process"
	"github.com/podunit/podunit/runner/service"
	"github.com/podunit/podunit/runner/store"
	"github.com/podunit/podunit/runner/terminal"
	"github.com/podunit/podunit/runner/unit"
	"github.com/spf13/cobra"
	"go.podman.io/storage"
	"golang.org/x/sys/unix"
)

// States of a finding.
const (
	fine    = "ok"
	warning = "warning"
	fault   = "error"
)

// finding is the result of one check of doctor.
type finding struct {
	Check string `json:"check"`
	State string `json:"state"` // ok, warning or error
	Text  string `json:"text"`
	Mend  string `json:"mend,omitempty"` // the command that mends it
}

// NewDoctor makes podunit doctor.
func NewDoctor(e *cli.Env) *cobra.Command {
	var out string
	var repair bool
	cmd := &cobra.Command{
		Use:   "doctor [flags]",
		Short: "Look whether this machine has what containers need, and say what mends it",
		Long: `Look whether this machine has what containers need, and say what mends it: subordinate IDs, lingering,
the manager of units, cgroups and their controllers, the kernel, low ports, programs, the storage,
room on disks, the clock. Podunit check does that for unit files.

Exit status: 0 nothing is in the way of containers, 1 something is.`,
		Args: cli.WantArgs(0, 0),
		// Doctor reports the faults that keep other verbs from beginning, so it looks for none of
		// them before it begins.
		PersistentPreRunE: func(*cobra.Command, []string) error { return e.Begin() },
		RunE: func(cmd *cobra.Command, _ []string) error {
			all := examine(cmd.Context(), e, repair)
			if err := printFindings(e, out, all); err != nil {
				return err
			}
			if slices.ContainsFunc(all, func(f finding) bool { return f.State == fault }) {
				return cli.ExitStatus(1)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&out, "format", "", "json, or nothing for people")
	cmd.Flags().BoolVar(&repair, "repair", false, "remove damaged layers and images, and pull them again")
	cli.Complete(cmd, "format", "json")
	return cmd
}

func printFindings(e *cli.Env, out string, all []finding) error {
	switch {
	case format.IsJSON(out):
		return format.JSON(e.Stdout, all)
	case out != "":
		return fmt.Errorf("--format %q: only json is known", out)
	}
	for _, f := range all {
		fmt.Fprintf(e.Stdout, "%-7s  %s: %s\n", f.State, f.Check, terminal.Line(f.Text))
		if f.Mend != "" {
			fmt.Fprintf(e.Stdout, "         mend: %s\n", terminal.Text(f.Mend))
		}
	}
	return nil
}

// examine looks at everything.
func examine(ctx context.Context, e *cli.Env, repair bool) []finding {
	all := []finding{entered(e), ids(e), linger(e), manager(ctx, e), configuration(e)}
	all = append(all, cgroups(e, "/sys/fs/cgroup")...)
	all = append(all, kernel("/proc")...)
	all = append(all, lowPorts("/proc", e.User.Rootless()))
	all = append(all, programs(e.User.Rootless(), exec.LookPath)...)
	if e.User.Rootless() {
		all = append(all, published(helpers(e)))
	}
	if e.User.Entered {
		all = append(all, storageHealth(ctx, e, repair)...)
		all = append(all, namespaces(filepath.Join(e.User.RunDir, "podunit", "userns")))
	}
	return append(all, clock())
}

// entered tells whether the namespaces of the user's containers could be entered.
func entered(e *cli.Env) finding {
	const check = "runtime directory and namespaces"
	if err := e.User.Error(); err != nil {
		return finding{check, fault, err.Error(), e.User.Hint()}
	}
	return finding{check, fine, e.User.RunDir, ""}
}

// wantIDs is how many IDs an image may use.
const wantIDs = 65536

func ids(e *cli.Env) finding {
	const check = "subordinate IDs"
	if !e.User.Rootless() {
		return finding{check, fine, "root needs none", ""}
	}
	if !e.User.Entered {
		return finding{check, fault, "not known: the user namespace could not be entered", e.User.Hint()}
	}
	for _, file := range []string{"uid_map", "gid_map"} {
		if n := mapped(lines("/proc/self/" + file)); n < wantIDs {
			name := userName(e)
			return finding{check, warning, fmt.Sprintf("%s has %d IDs; images may use %d", file, n, wantIDs), "as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 " + name + ", with a range that nobody has; then stop all containers"}
		}
	}
	return finding{check, fine, fmt.Sprintf("%d and more", wantIDs), ""}
}

// mapped counts the IDs of a map. Source: user_namespaces(7).
func mapped(lines []string) uint64 {
	var n uint64
	for _, line := range lines {
		if f := strings.Fields(line); len(f) == 3 {
			k, _ := strconv.ParseUint(f[2], 10, 64) // the kernel writes numbers
			n += k
		}
	}
	return n
}

// userName is what a message calls the user.
func userName(e *cli.Env) string { return cmp.Or(e.LoginName(), strconv.Itoa(e.User.UID)) }

func linger(e *cli.Env) finding {
	const check = "lingering"
	if !e.User.Rootless() {
		return finding{check, fine, "root's units run from boot on", ""}
	}
	name := userName(e)
	if !unit.Lingers(name) {
		return finding{check, warning, "units of " + name + " start with the first login and end with the last", "loginctl enable-linger " + name}
	}
	return finding{check, fine, "units run while nobody is logged in", ""}
}

func manager(ctx context.Context, e *cli.Env) finding {
	const check = "manager of units"
	m, err := e.Manager(ctx)
	if err != nil {
		return finding{check, fault, err.Error(), hint.Of(err)}
	}
	m.Close()
	return finding{check, fine, map[bool]string{true: "systemd --user", false: "systemd"}[e.User.Rootless()], ""}
}

// needed are the controllers without which a limit has no effect.
var needed = []string{"cpu", "io", "memory", "pids"}

// cgroups looks at the hierarchy and at the controllers that the user's units can have.
func cgroups(e *cli.Env, root string) []finding {
	const check = "cgroups"
	if err := cgroup.Supported(); err != nil {
		return []finding{{check, fault, err.Error(), hint.Of(err)}}
	}
	dir := root
	if e.User.Rootless() {
		dir = fmt.Sprintf("%s/user.slice/user-%d.slice/user@%d.service", root, e.User.UID, e.User.UID)
	}
	all := []finding{{check, fine, "version 2", ""}}
	return append(all, controllers(dir, root, e.User.Rootless()))
}

func controllers(dir, root string, rootless bool) finding {
	const check = "controllers"
	there := func(dir string) []string {
		return strings.Fields(strings.Join(lines(filepath.Join(dir, "cgroup.controllers")), " "))
	}
	have, machine := there(dir), there(root)
	var missing, unable []string
	for _, c := range needed {
		switch {
		case slices.Contains(have, c):
		case slices.Contains(machine, c) && rootless:
			missing = append(missing, c)
		default:
			unable = append(unable, c)
		}
	}
	switch {
	case len(missing) > 0:
		return finding{check, warning, "not delegated to the user: " + strings.Join(missing, ", ") + "; limits of that kind have no effect",
			`as root: mkdir -p /etc/systemd/system/user@.service.d && printf '[Service]\nDelegate=cpu cpuset io memory pids\n' >/etc/systemd/system/user@.service.d/delegate.conf && systemctl daemon-reload; then log in again`}
	case len(unable) > 0:
		return finding{check, warning, "the kernel has none for " + strings.Join(unable, ", ") + "; limits of that kind have no effect", "boot without cgroup_disable= and with systemd.unified_cgroup_hierarchy=1"}
	}
	return finding{check, fine, strings.Join(have, " "), ""}
}

// kernel checks the features of the kernel.
func kernel(proc string) []finding {
	var all []finding
	if text := strings.Join(lines(filepath.Join(proc, "sys/user/max_user_namespaces")), ""); text == "0" {
		all = append(all, finding{"kernel", fault, "it allows no user namespaces", "as root: sysctl -w user.max_user_namespaces=15000, and the same in /etc/sysctl.d"})
	}
	if !slices.ContainsFunc(lines(filepath.Join(proc, "filesystems")), func(l string) bool { return strings.HasSuffix(l, "overlay") }) {
		all = append(all, finding{"kernel", fault, "it has no overlay file system", "as root: modprobe overlay"})
	}
	release := strings.Join(lines(filepath.Join(proc, "sys/kernel/osrelease")), "")
	if !atLeast(release, 5, 14) {
		all = append(all, finding{"kernel", warning, release + ": overlays of users need 5.11, and to end all of a container 5.14", "a newer kernel"})
	}
	if len(all) == 0 {
		all = append(all, finding{"kernel", fine, release, ""})
	}
	return all
}

// atLeast compares a kernel's release.
func atLeast(release string, major, minor int) bool {
	var a, b int
	if _, err := fmt.Sscanf(release, "%d.%d", &a, &b); err != nil {
		return true // it has a scheme of its own
	}
	return a > major || a == major && b >= minor
}

func lowPorts(proc string, rootless bool) finding {
	const check = "low ports"
	if first := network.FirstPort(proc); rootless && first > 80 {
		return finding{check, warning, fmt.Sprintf("users cannot publish ports below %d", first), "as root: sysctl -w net.ipv4.ip_unprivileged_port_start=80, and the same in /etc/sysctl.d"}
	}
	return finding{check, fine, "80 and above can be published", ""}
}

// programs looks for the programs that podunit executes.
func programs(rootless bool, look func(string) (string, error)) []finding {
	type program struct{ name, pkg, use string }
	// Root's containers without --network are connected by pasta, too.
	wanted := []program{{"runc", "runc", "starts containers"}, {"pasta", "passt", "connects containers"}}
	if rootless {
		wanted = append(wanted, program{"newuidmap", "uidmap", "maps IDs"}, program{"newgidmap", "uidmap", "maps IDs"})
	}
	var all []finding
	found := []string{}
	for _, p := range wanted {
		path, err := look(p.name)
		if err != nil {
			all = append(all, finding{p.name, fault, "not found; it " + p.use, "apt install " + p.pkg})
			continue
		}
		found = append(found, path)
	}
	for _, p := range []program{{"netavark", "netavark", "makes named networks"}, {"aardvark-dns", "aardvark-dns", "gives containers on named networks each other's names"}, {"catatonit", "catatonit", "is the first process with --init"}} {
		path, ok := helperPath(p.name, look)
		if !ok {
			all = append(all, finding{p.name, warning, "not found; it " + p.use, "apt install " + p.pkg})
			continue
		}
		found = append(found, path)
	}
	if len(found) == 0 {
		return all
	}
	return append(all, finding{"programs", fine, strings.Join(found, ", "), ""})
}

// published tells who listens for a user's containers on named networks.
func published(look func(string) (string, error)) finding {
	const check = "published ports on named networks"
	if path, ok := helperPath("pesto", look); ok {
		return finding{check, fine, path + " has one pasta listen for all whose clients it can lead to them", ""}
	}
	return finding{check, fine, "a container that publishes has a pasta of its own; since 2026-05, passt has pesto, which makes one do for all", ""}
}

// helpers finds a program where a container's start does: by helper_binaries_dir of
// containers.conf(5), or in PATH.
func helpers(e *cli.Env) func(string) (string, error) {
	conf, err := service.ReadConf(e.Modules)
	if err != nil {
		return exec.LookPath // what is wrong with the file, configuration tells
	}
	return func(name string) (string, error) { return conf.FindHelperBinary(name, true) }
}

// helperPath finds a program that is in PATH or where Podman's packages put it.
func helperPath(name string, look func(string) (string, error)) (string, bool) {
	if path, err := look(name); err == nil {
		return path, true
	}
	for _, dir := range []string{"/usr/lib/podman", "/usr/libexec/podman", "/usr/local/lib/podman", "/usr/local/libexec/podman"} {
		if path, err := look(filepath.Join(dir, name)); err == nil {
			return path, true
		}
	}
	return "", false
}

// storageHealth looks at the storage: whether it opens, how it is laid out, whether it is whole, and
// how much room there is.
func storageHealth(ctx context.Context, e *cli.Env, repair bool) []finding {
	const check = "storage"
	s, err := store.Open(ctx, store.Config{RunDir: e.User.RunDir, Rootless: e.User.Rootless()})
	if err != nil {
		return []finding{{check, fault, err.Error(), hint.Of(err)}}
	}
	all := []finding{{check, fine, s.GraphRoot() + ", " + s.GraphDriverName(), ""}}
	if s.GraphDriverName() == "vfs" {
		all = append(all, finding{"storage driver", warning, "vfs copies each image for each container", "driver = \"overlay\" in storage.conf, after podunit system reset"})
	}
	all = append(all, whole(ctx, e, s, repair), room("room in the storage", s.GraphRoot(), "podunit system prune -a"), room("room in the runtime directory", e.User.RunDir, "du -xa "+e.User.RunDir+" | sort -n | tail"))
	return all
}

// whole looks for damaged layers and images. A repair removes them, and pulls the images again.
func whole(ctx context.Context, e *cli.Env, s storage.Store, repair bool) finding {
	const check = "layers and images"
	report, err := store.Check(s, storage.CheckMost())
	if err != nil {
		return finding{check, fault, err.Error(), ""}
	}
	n := len(report.Layers) + len(report.ROLayers) + len(report.Images) + len(report.ROImages) + len(report.Containers)
	switch {
	case n == 0:
		return finding{check, fine, "whole", ""}
	case !repair:
		return finding{check, fault, fmt.Sprintf("%d are damaged; podunit system check lists them", n), "podunit doctor --repair"}
	}
	im := registry.New(s, e.User.RunDir)
	before, err := fullNames(s)
	if err != nil {
		return finding{check, fault, err.Error(), ""}
	}
	if errs := s.Repair(report, &storage.RepairOptions{}); len(errs) > 0 {
		return finding{check, fault, fmt.Sprintf("%d are damaged, and not mended: %v", n, errs[0]), "podunit system check --force, which removes the containers that stand on them, too"}
	}
	text := fmt.Sprintf("%d were damaged and are removed", n)
	after, err := fullNames(s)
	if err != nil {
		return finding{check, fault, text + "; " + err.Error(), ""}
	}
	var pulled, missing []string
	for _, name := range before {
		if slices.Contains(after, name) {
			continue
		}
		if _, err := im.Pull(ctx, name, image.PullOptions{Policy: image.PullMissing}); err != nil {
			missing = append(missing, name)
			text += "; " + err.Error()
			continue
		}
		pulled = append(pulled, name)
	}
	if len(pulled) > 0 {
		text += "; pulled again: " + strings.Join(pulled, ", ")
	}
	if len(missing) > 0 {
		return finding{check, fault, text, "podunit pull " + strings.Join(missing, " ") + ", or build them again"}
	}
	return finding{check, warning, text, ""}
}

// fullNames are the names of all images, each with its registry: a pull by a short name could bring
// another image.
func fullNames(s storage.Store) ([]string, error) {
	images, err := s.Images()
	var all []string
	for _, i := range images {
		all = append(all, i.Names...)
	}
	return all, err
}

// little is how much room must be left, in bytes.
const little = 1 << 30

func room(check, dir, mend string) finding {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return finding{check, fault, err.Error(), ""}
	}
	size, free := st.Blocks*uint64(st.Bsize), st.Bavail*uint64(st.Bsize)
	text := units.HumanSize(float64(free)) + " of " + units.HumanSize(float64(size))
	switch {
	case free < min(little, size/20):
		return finding{check, warning, text, mend}
	case st.Files > 0 && st.Ffree < st.Files/50:
		return finding{check, warning, fmt.Sprintf("%d of %d files", st.Ffree, st.Files), mend}
	}
	return finding{check, fine, text, ""}
}

// namespaces looks at the list of processes that hold the user namespace, for entries of processes
// that were killed.
func namespaces(dir string) finding {
	const check = "stale namespaces"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return finding{check, fine, "none", ""} // root has no list
	}
	dead := 0
	for _, entry := range entries {
		if pid, err := strconv.Atoi(entry.Name()); err == nil && process.HasEnded(pid) {
			dead++
		}
	}
	if dead > 0 {
		return finding{check, warning, fmt.Sprintf("%d processes were killed before they could tidy up", dead), "podunit ps"}
	}
	return finding{check, fine, "none", ""}
}

// clock checks whether the machine's time is kept right: the validity of certificates depends on
// it.
func clock() finding {
	const check = "clock"
	if now := time.Now(); now.Year() < 2025 {
		return finding{check, fault, now.Format(time.RFC3339) + ": no certificate is valid yet", "as root: timedatectl set-time, or timedatectl set-ntp true"}
	}
	var t unix.Timex
	if _, err := unix.Adjtimex(&t); err == nil && t.Status&unix.STA_UNSYNC != 0 {
		return finding{check, warning, "nobody keeps it right", "as root: timedatectl set-ntp true"}
	}
	return finding{check, fine, "kept right", ""}
}
