// SPDX-License-Identifier: Apache-2.0

// Package machine keeps labs: Debian machines with a real systemd, booted by systemd-nspawn from a
// shared root filesystem with a writable layer of their own. A lab is a directory; what runs of it
// is found from the kernel (cgroup, process, mount namespace), so a lab whose maker died is still
// known and can be removed.
//
// The overlay mount lives in the mount namespace of nspawn and ends with it: a dead lab leaves no
// mount behind. /home, /root and /var/lib/containers are plain directories of the host's disk,
// because an overlay's upper layer, which container storage needs there, cannot itself lie on an
// overlay.
package machine

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/podunit/podunit/contrib/lab/cache"
	"github.com/podunit/podunit/contrib/lab/host"
	"github.com/podunit/podunit/contrib/lab/image"
	"github.com/podunit/podunit/contrib/lab/rootfs"
)

// Options of a new lab. Only New reads them; the lab remembers what it was made with.
type Options struct {
	// NoRoute leaves out the default route.
	NoRoute bool
	// NoImages leaves the registry empty, so that the images need not be made.
	NoImages bool
	// Release is the Debian release of a container of nspawn, one of rootfs.Releases; empty is
	// rootfs.Suite.
	Release string
	// VM is the Debian release of a virtual machine, one of rootfs.Suites; empty is a container of
	// nspawn. A virtual machine always has the images.
	VM string
	// Lossy gives a container of nspawn a disk of its own that loses unflushed writes at a power cut.
	Lossy bool
	// Seed chooses which unflushed writes a virtual machine or a lossy lab loses.
	Seed uint64
	// Owner is the process that the lab belongs to, zero for nobody. GC removes labs whose owner
	// has died.
	Owner int
	// Helper is the lab program to put into the lab; empty means the running one.
	Helper string
	// Fill, if set, is called with the directory that becomes the lab's own layer, to add files
	// before the first boot.
	Fill func(dir string) error
}

// spec is spec.json: what a lab was made with.
type spec struct {
	Lower      []string // directories of the root filesystem, uppermost first; of a virtual machine that of its disk
	VM         string   `json:",omitempty"` // Debian release of a virtual machine
	Lossy      bool     `json:",omitempty"` // a container with a disk of its own
	Seed       uint64   `json:",omitempty"` // of what it loses
	Index      int      // number of its /30 network
	Owner      int      // process id, or 0
	OwnerStart string   // start time of Owner in clock ticks after boot, so a reused process id is told apart
}

// Machine is one lab. Its methods do not guard against others driving the same lab at the same time.
type Machine struct {
	Name string
	cdir cache.Dir
	dir  string
	spec spec
	log  io.Writer
	// inside is set in the agent of a virtual machine: the machine is the one we run on.
	inside bool
}

// ErrNone is returned for a lab that does not exist.
var ErrNone = errors.New("no such lab")

// names end up in host names, interface names and cgroup paths.
var nameRE = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`)

func labsDir(c cache.Dir) string { return c.Path("labs") }

// Open finds an existing lab, running or not.
func Open(c cache.Dir, name string, log io.Writer) (*Machine, error) {
	if !nameRE.MatchString(name) {
		return nil, fmt.Errorf("lab name %q: use 1 to 32 of a-z, 0-9 and -", name)
	}
	m := &Machine{Name: name, cdir: c, dir: filepath.Join(labsDir(c), name), log: log}
	data, err := os.ReadFile(filepath.Join(m.dir, "spec.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", name, ErrNone)
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, &m.spec); err != nil {
		return nil, fmt.Errorf("%s/spec.json: %w; remove the lab", m.dir, err)
	}
	return m, nil
}

// New makes a lab that is not booted yet, root filesystem and images included. A stale one of that
// name is removed; one that is in use is an error.
func New(ctx context.Context, c cache.Dir, name string, opt Options, log io.Writer) (*Machine, error) {
	if !nameRE.MatchString(name) {
		return nil, fmt.Errorf("lab name %q: use 1 to 32 of a-z, 0-9 and -", name)
	}
	if err := host.Prepare(ctx, log); err != nil {
		return nil, err
	}
	if opt.Lossy {
		if opt.VM != "" {
			return nil, errors.New("a virtual machine always loses what was not flushed: leave lossy out")
		}
		if err := host.PrepareDisk(ctx, log); err != nil {
			return nil, err
		}
	}
	lower, err := makeLower(ctx, c, opt, log)
	if err != nil {
		return nil, err
	}
	release, err := c.Lock("labs")
	if err != nil {
		return nil, err
	}
	defer release()
	m := &Machine{Name: name, cdir: c, dir: filepath.Join(labsDir(c), name), log: log}
	if old, err := Open(c, name, log); err == nil {
		if old.Running() && !old.stale() {
			return nil, fmt.Errorf("lab %s is running: use it, or remove it first", name)
		}
		if err := old.Remove(); err != nil {
			return nil, err
		}
	} else if err := os.RemoveAll(m.dir); err != nil { // a lab whose making was cut short
		return nil, err
	}
	index, err := freeIndex(c, log)
	if err != nil {
		return nil, err
	}
	m.spec = spec{Lower: lower, VM: opt.VM, Lossy: opt.Lossy, Seed: opt.Seed, Index: index, Owner: opt.Owner}
	if opt.Owner != 0 {
		m.spec.OwnerStart = startTime(opt.Owner)
	}
	if err := m.make(opt); err != nil {
		return nil, errors.Join(err, os.RemoveAll(m.dir))
	}
	return m, nil
}

// makeLower makes what a lab shares with others.
func makeLower(ctx context.Context, c cache.Dir, opt Options, log io.Writer) ([]string, error) {
	var images string
	var err error
	if !opt.NoImages || opt.VM != "" {
		if images, err = image.Make(ctx, c, log); err != nil {
			return nil, err
		}
	}
	if opt.VM != "" {
		if err := host.PrepareVM(ctx, log); err != nil {
			return nil, err
		}
		base, err := rootfs.MakeDisk(ctx, c, opt.VM, images, log)
		return []string{base}, err
	}
	root, err := rootfs.Make(ctx, c, cmp.Or(opt.Release, rootfs.Suite), log)
	if err != nil || images == "" {
		return []string{root}, err
	}
	return []string{images, root}, nil
}

func (m *Machine) make(opt Options) error {
	own := m.own()
	for _, d := range []string{"upper", "upper/etc", "upper/etc/podunit-lab", "upper/usr", "upper/usr/local", "upper/usr/local/bin", "work", "containers"} {
		if err := os.MkdirAll(filepath.Join(own, d), 0o755); err != nil {
			return err
		}
	}
	for _, d := range []string{"root", "tmp"} {
		if err := os.MkdirAll(filepath.Join(m.dir, d), 0o755); err != nil {
			return err
		}
	}
	homes := map[string]string{"home": "home", "root": "roothome"}
	if opt.VM != "" {
		homes = nil // they are on its disk
	}
	root := m.spec.Lower[len(m.spec.Lower)-1]
	for from, to := range homes {
		out, err := exec.Command("cp", "-a", "--reflink=auto", filepath.Join(root, from), filepath.Join(own, to)).CombinedOutput()
		if err != nil {
			return fmt.Errorf("copy /%s of the lab: %w: %s", from, err, bytes.TrimSpace(out))
		}
	}
	id := sha256.Sum256([]byte(m.dir + time.Now().String()))
	route := "yes"
	if opt.NoRoute {
		route = "no"
	}
	for name, text := range map[string]string{
		"machine-id":          hex.EncodeToString(id[:16]) + "\n",
		"hostname":            m.Name + "\n",
		"hosts":               "127.0.0.1 localhost\n::1 localhost ip6-localhost\n" + m.Address() + " " + m.Name + "\n",
		"podunit-lab/network": fmt.Sprintf("ADDRESS=%s/30\nPEER=%s\nROUTE=%s\n", m.Address(), m.peer(), route),
	} {
		if err := os.WriteFile(filepath.Join(own, "upper/etc", name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	if err := m.helper(opt.Helper); err != nil {
		return err
	}
	if opt.Fill != nil {
		if err := opt.Fill(filepath.Join(own, "upper")); err != nil {
			return err
		}
	}
	if opt.VM != "" {
		if err := m.makeDisks(m.spec.Lower[0]); err != nil {
			return err
		}
	}
	if opt.Lossy {
		if err := m.makeLossy(); err != nil {
			return err
		}
	}
	data, err := json.MarshalIndent(m.spec, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(m.dir, "spec.json"), data, 0o644)
}

// helper puts the lab program into the lab, where it serves as throttle.
func (m *Machine) helper(exe string) error {
	if exe == "" {
		var err error
		if exe, err = os.Executable(); err != nil {
			return err
		}
	}
	return copyFile(exe, filepath.Join(m.own(), "upper/usr/local/bin/podunit-lab"), 0o755)
}

func copyFile(from, to string, mode fs.FileMode) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, in)
	return err
}

// Address is the lab's own on its link to the host.
func (m *Machine) Address() string { return address(m.spec.Index, 2) }

func (m *Machine) peer() string { return address(m.spec.Index, 1) }

// address in the /30 network number index of 10.213.0.0/16.
func address(index, host int) string {
	n := index*4 + host
	return fmt.Sprintf("10.213.%d.%d", n/256, n%256)
}

// freeIndex is the lowest network that no lab has and no interface of the host uses.
func freeIndex(c cache.Dir, log io.Writer) (int, error) {
	labs, err := List(c, log)
	if err != nil {
		return 0, err
	}
	out, err := exec.Command("ip", "-o", "-4", "address").Output()
	if err != nil {
		return 0, fmt.Errorf("ip address: %w", err)
	}
	taken := map[int]bool{}
	for _, l := range labs {
		taken[l.spec.Index] = true
	}
	for i := range 256 * 64 {
		_, err := os.Stat("/sys/class/net/" + linkName(i)) // of a lab in another cache
		if !taken[i] && err != nil && !strings.Contains(string(out), " "+address(i, 1)+"/") {
			return i, nil
		}
	}
	return 0, errors.New("no free network in 10.213.0.0/16: remove some labs")
}

// List returns all labs, in order of name.
func List(c cache.Dir, log io.Writer) ([]*Machine, error) {
	entries, err := os.ReadDir(labsDir(c))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var labs []*Machine
	for _, e := range entries {
		if m, err := Open(c, e.Name(), log); err == nil {
			labs = append(labs, m)
		}
	}
	return labs, nil
}

// stale tells that the lab had an owner and the owner is dead.
func (m *Machine) stale() bool {
	return m.spec.Owner != 0 && startTime(m.spec.Owner) != m.spec.OwnerStart
}

// GC removes the labs whose owner died, and what a lab cut short left in the kernel. It returns
// their names.
func GC(c cache.Dir, log io.Writer) ([]string, error) {
	release, err := c.Lock("labs")
	if err != nil {
		return nil, err
	}
	defer release()
	labs, err := List(c, log)
	if err != nil {
		return nil, err
	}
	var gone []string
	var all []error
	for _, m := range labs {
		if m.stale() {
			gone = append(gone, m.Name)
			all = append(all, m.Remove())
		}
	}
	return gone, errors.Join(all...)
}

// Remove cuts the power and removes everything of the lab.
func (m *Machine) Remove() error {
	if err := m.PowerCut(); err != nil {
		return err
	}
	return os.RemoveAll(m.dir)
}

// startTime of a process in clock ticks after boot, empty when there is none (a zombie is none).
func startTime(pid int) string {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return ""
	}
	// The second field is the name in parentheses and may contain anything: proc_pid_stat(5).
	_, rest, _ := strings.Cut(string(data[bytes.LastIndexByte(data, ')'):]), " ")
	f := strings.Fields(rest)
	if len(f) < 20 || f[0] == "Z" || f[0] == "X" {
		return ""
	}
	return f[19]
}
