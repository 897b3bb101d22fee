// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podunit/podunit/contrib/lab/disk"
)

// A lossy lab is a container of nspawn whose own state lies on a disk of its own, which the lab
// program serves and which loses unflushed writes at a power cut (package disk). It boots in
// seconds, as others do, and shares the kernel with them: whoever has the host sync its file
// systems flushes this one, too.

const lossySize = 16 << 30 // bytes of a sparse file

// own is the directory with what the lab has of its own: the upper layer of its overlay and what
// lies beside it. That of a lossy lab is where its disk is mounted.
func (m *Machine) own() string {
	if m.spec.Lossy {
		return filepath.Join(m.dir, "own")
	}
	return m.dir
}

// server is the lab program that serves the disk of a lossy lab.
func (m *Machine) server() string { return filepath.Join(m.dir, "podunit-lab") }

// makeLossy moves what the lab has of its own to its disk.
func (m *Machine) makeLossy() error {
	err := copyFile(filepath.Join(m.own(), "upper/usr/local/bin/podunit-lab"), m.server(), 0o755)
	if err != nil {
		return err
	}
	f, err := os.Create(m.disk())
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(lossySize), f.Close()); err != nil {
		return err
	}
	// What mke2fs leaves for later, the kernel would do while the lab runs.
	out, err := exec.Command("mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-E", "root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0", "-d", m.own(), m.disk()).CombinedOutput()
	if err != nil {
		return fmt.Errorf("make the disk of lab %s: %w: %s", m.Name, err, out)
	}
	return errors.Join(os.RemoveAll(m.own()), os.Mkdir(m.own(), 0o755))
}

// lossy is the beginning of the command of a lossy lab.
func (m *Machine) lossy() []string {
	return []string{m.server(), "lossy", "--seed=" + strconv.FormatUint(m.spec.Seed+uint64(m.boots()), 10), m.disk(), m.own()}
}

// killDisk ends the process that serves the disk of a lossy lab, before the others: nothing that
// their end has the kernel do may reach the disk.
func (m *Machine) killDisk() error {
	r, ok := m.state()
	if !ok || !m.spec.Lossy {
		return nil
	}
	if err := unix.Kill(r.Nspawn, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("lab %s: kill its disk: %w", m.Name, err)
	}
	for deadline := time.Now().Add(time.Minute); m.Running(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("lab %s: its disk, process %d, does not end", m.Name, r.Nspawn)
		}
	}
	return nil
}

// awaitDetached waits until the kernel has let go of the disk of a lossy lab, which it does in the
// background.
func (m *Machine) awaitDetached() error {
	for deadline := time.Now().Add(time.Minute); m.spec.Lossy && disk.Attached(m.disk()); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("lab %s: the loop device of %s does not go", m.Name, m.disk())
		}
	}
	return nil
}
