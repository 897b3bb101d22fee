// SPDX-License-Identifier: Apache-2.0

package play

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/podunit/podunit/runner/helper"
	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/netns"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/process"
	"github.com/podunit/podunit/runner/safe"
	"golang.org/x/sys/unix"
)

// Hold is what the service of a pod executes once it is up. Each volume in memory is a file system
// that a small process of that service holds in its mount namespace, as the infra process holds
// /dev/shm; it ends with the pod.
func (p *Player) Hold(play, podName string) error {
	st, err := p.store.load(play)
	if err != nil {
		return err
	}
	one := st.pod(podName)
	if one == nil {
		return fmt.Errorf("%s has no pod %s", play, podName)
	}
	r, err := p.Pods.LookupExact(podName)
	if err != nil {
		return err
	}
	for _, v := range one.Volumes {
		if v.Kind != kube.VolumeMemory {
			continue
		}
		if err := p.hold(r, one, v); err != nil {
			return fmt.Errorf("volume %s: %w", v.Name, err)
		}
	}
	return nil
}

func (p *Player) hold(r pod.Record, one *kube.Pod, v *kube.Volume) error {
	dir := p.memoryDir(r, v)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	options := "mode=0777"
	if v.Size > 0 {
		options += fmt.Sprintf(",size=%d", v.Size)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		return fmt.Errorf("mount a file system in memory: %w", err)
	}
	m, err := p.idsOf(r, one)
	if err == nil {
		err = own(dir, one, v, m, 0o777)
	}
	if err != nil {
		return err
	}
	holder, err := helper.Infra{Shm: dir}.Start(startHere)
	if err != nil {
		return err
	}
	note := fmt.Appendf(nil, "%d %d\n", holder.PID, process.StartTicks(holder.PID))
	return errors.Join(holder.Close(), safe.Replace(dir+".pid", note, 0o600))
}

// memoryDir is where a volume in memory is mounted, as far as a mount namespace reaches.
func (p *Player) memoryDir(r pod.Record, v *kube.Volume) string {
	return filepath.Join(p.store.podFiles(r.ID), ".memory-"+v.Name)
}

// held mounts a volume in memory in our mount namespace, and gives its place.
func (p *Player) held(r pod.Record, v *kube.Volume) (string, error) {
	dir := p.memoryDir(r, v)
	note, err := os.ReadFile(dir + ".pid")
	if err != nil {
		return "", err
	}
	var pid int
	var ticks uint64
	if _, err := fmt.Sscan(string(note), &pid, &ticks); err != nil {
		return "", err
	}
	if !process.Alive(pid, ticks) {
		return "", fmt.Errorf("the process that holds the volume %s of pod %s has ended", v.Name, r.Name)
	}
	return dir, netns.Tree(pid, helper.HeldShm, dir)
}
