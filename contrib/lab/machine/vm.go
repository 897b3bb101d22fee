// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/podunit/podunit/contrib/lab/disk"
	"github.com/podunit/podunit/contrib/lab/rootfs"
)

// A virtual machine is a lab with a kernel of its own: Debian's, in qemu, with all controllers of
// cgroup v2. Its disk is a copy of a cached one, served by the lab program, which loses unflushed
// writes at a power cut (package disk). A second disk is a tar archive of the lab's own layer,
// which is unpacked at the first boot.

const (
	vmMemory     = "2048" // MiB
	vmProcessors = "2"
	vmPatience   = "900" // seconds, for whatever systemd waits for
)

// Virtual tells whether the lab is a virtual machine.
func (m *Machine) Virtual() bool { return m.spec.VM != "" }

// Copy copies what is in a directory of the host over the root of a running lab, as root's.
func (m *Machine) Copy(ctx context.Context, dir string) error {
	pack := exec.CommandContext(ctx, "tar", "--create", "--owner=0", "--group=0", "--file=-", "--directory="+dir, ".")
	out, err := pack.StdoutPipe()
	if err != nil {
		return err
	}
	if err := pack.Start(); err != nil {
		return err
	}
	res, err := m.Run(ctx, Command{User: "root", Args: []string{"tar", "--extract", "--no-overwrite-dir", "--file=-", "--directory=/"}, Stdin: out})
	if err == nil && res.Code != 0 {
		err = fmt.Errorf("copy %s into lab %s: %s", dir, m.Name, res.Stderr)
	}
	return errors.Join(err, pack.Wait())
}

// makeDisks makes the two disks of a virtual machine.
func (m *Machine) makeDisks(base string) error {
	// Where the emulator and its host are slow, waiting helps. The kernel's command line says the
	// same to the system's manager.
	conf := filepath.Join(m.dir, "upper/etc/systemd/user.conf.d")
	if err := os.MkdirAll(conf, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(conf, "lab.conf"), []byte("[Manager]\nDefaultTimeoutStartSec="+vmPatience+"\n"), 0o644); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"cp", "--sparse=always", "--reflink=auto", rootfs.DiskIn(base).Image, m.disk()},
		{"tar", "--create", "--owner=0", "--group=0", "--file=" + m.layer(), "--directory=" + filepath.Join(m.dir, "upper"), "."},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("make the disks of lab %s: %w: %s", m.Name, err, out)
		}
	}
	return nil
}

func (m *Machine) disk() string  { return filepath.Join(m.dir, "disk.ext4") }
func (m *Machine) layer() string { return filepath.Join(m.dir, "layer.tar") }

// qemu is the command of a virtual machine: the lab program, which serves the disk and executes
// qemu. It is started in the lab's directory.
func (m *Machine) qemu() []string {
	base := rootfs.DiskIn(m.spec.Lower[0])
	argv := []string{filepath.Join(m.dir, "upper/usr/local/bin/podunit-lab"), "disk",
		"--seed=" + strconv.FormatUint(m.spec.Seed+uint64(m.boots()), 10), m.disk(),
		"nice", "-n", "5", "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-machine", "q35"}
	return append(argv,
		"-accel", accelerator(),
		// Without what costs an emulator much: five levels of page tables, string instructions, and
		// below the clearing of every page. So a start of a container takes half the time. Nested
		// virtualization may lack arch-capabilities.
		"-cpu", "max,la57=off,arch-capabilities=off,erms=off,fsrm=off",
		"-m", vmMemory, "-smp", vmProcessors,
		"-serial", "stdio",
		"-kernel", base.Kernel, "-initrd", base.Initrd,
		"-append", "root=/dev/vda rw init=/usr/local/sbin/lab-init console=ttyS0 panic=-1 mitigations=off init_on_alloc=0 clearcpuid=rep_good fsck.repair=yes "+
			"systemd.default_timeout_start_sec="+vmPatience+" systemd.default_device_timeout_sec="+vmPatience+" quiet",
		"-blockdev", "nbd,node-name=root,server.type=unix,server.path="+disk.Socket,
		"-device", "virtio-blk-pci,drive=root,write-cache=on",
		"-blockdev", "file,node-name=layer,read-only=on,filename=layer.tar",
		"-device", "virtio-blk-pci,drive=layer",
		"-netdev", "tap,id=net,script=no,downscript=no,ifname="+m.link(),
		"-device", "virtio-net-pci,netdev=net",
		"-device", "virtio-rng-pci")
}

// accelerator is KVM where the processor has what KVM is made for, and qemu's emulator elsewhere:
// some hosts have a /dev/kvm that opens, and cannot execute the kernel. PODUNIT_VM_ACCEL says
// another.
func accelerator() string {
	if a := os.Getenv("PODUNIT_VM_ACCEL"); a != "" {
		return a
	}
	info, _ := os.ReadFile("/proc/cpuinfo")
	words := strings.Fields(string(info))
	if slices.Contains(words, "vmx") || slices.Contains(words, "svm") {
		if f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0); err == nil {
			f.Close()
			return "kvm"
		}
	}
	return "tcg,thread=multi"
}

// boots counts the boots of a lab, this one included.
func (m *Machine) boots() int {
	path := filepath.Join(m.dir, "boots")
	data, _ := os.ReadFile(path) // none before the first
	n, _ := strconv.Atoi(string(data))
	_ = os.WriteFile(path, []byte(strconv.Itoa(n+1)), 0o644) // two boots with the same chances do no harm
	return n + 1
}

// agentPort is where a virtual machine takes commands. Users other than root cannot listen there.
const agentPort = 213

// dial connects to the agent of a virtual machine.
func (m *Machine) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var d net.Dialer
	return d.DialContext(ctx, "tcp", net.JoinHostPort(m.Address(), strconv.Itoa(agentPort)))
}

// awaitAgent waits until a booting virtual machine takes commands.
func (m *Machine) awaitAgent(ctx context.Context, pause func() error) error {
	for {
		one, cancel := context.WithTimeout(ctx, time.Second)
		conn, err := m.dial(one)
		cancel()
		if err == nil {
			return conn.Close()
		}
		if err := pause(); err != nil {
			return err
		}
	}
}
