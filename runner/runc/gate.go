// SPDX-License-Identifier: Apache-2.0

package runc

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/podunit/podunit/runner/helper"
	"golang.org/x/sys/unix"
)

// A gate lets a created container begin. A process that outlives us keeps it: one of its own,
// or the log copier; see runner/helper/gate.c.
type gate struct {
	fifo    string   // where the container's first process waits; empty if the runtime alone knows
	far     *os.File // what the keeper gets, and which tells it what to do
	near    *os.File
	cmd     *exec.Cmd // the keeper, if it is one of its own
	runtime Runtime
	id      string
}

func (r Runtime) newGate(id string) (*gate, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socketpair: %w", err)
	}
	g := &gate{far: os.NewFile(uintptr(fds[0]), "gate"), near: os.NewFile(uintptr(fds[1]), "latch"), runtime: r, id: id}
	if filepath.Base(r.Command) == "runc" {
		g.fifo = filepath.Join(r.Root, id, fifoName)
	}
	return g, nil
}

// Gate is what a process needs to keep the container's gate: the pipe at which the first process
// waits, and the file that says when to open it. The path is empty if no process but one of
// KeepGate's can keep it.
func (c *Creation) Gate() (fifo string, far *os.File) { return c.gate.fifo, c.gate.far }

// KeepGate starts a process that keeps the gate and does nothing else.
func (c *Creation) KeepGate() error { return c.gate.start() }

func (g *gate) start() error {
	if g.fifo == "" {
		g.cmd = helper.Gate("", g.far, environment(), slices.Concat([]string{g.runtime.Command}, g.runtime.base(), []string{"start", g.id})...)
	} else {
		g.cmd = helper.Gate(g.fifo, g.far, environment())
	}
	return g.cmd.Start()
}

// ErrNotBegun says that a container was killed before it executed its command.
var ErrNotBegun = errors.New("the container did not come to it")

func (g *gate) open() error {
	// If the keeper has died, the far end has no holder left, and we read the end.
	err := closeFile(&g.far)
	_, _ = g.near.Write([]byte{helper.OpenNow})
	if err == nil && g.cmd != nil {
		err = g.cmd.Wait()
		g.cmd = nil
	} else if err == nil {
		if _, err = g.near.Read(make([]byte, 1)); errors.Is(err, io.EOF) || errors.Is(err, unix.ECONNRESET) {
			err = ErrNotBegun
		}
	}
	if err = errors.Join(err, closeFile(&g.near)); err != nil {
		return fmt.Errorf("%s start: %w", filepath.Base(g.runtime.Command), err)
	}
	return nil
}

// discard ends the gate if it has not been opened.
func (g *gate) discard() error {
	if g.near == nil {
		return nil
	}
	_, _ = g.near.Write([]byte{helper.NeverOpen}) // if anybody is there
	err := errors.Join(closeFile(&g.far), closeFile(&g.near))
	if g.cmd != nil {
		_ = g.cmd.Wait() // with the status of a gate that was not opened
		g.cmd = nil
	}
	return err
}
