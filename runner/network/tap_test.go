// SPDX-License-Identifier: Apache-2.0

package network

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/podunit/podunit/runner/netns"
)

// TestTapIsFree: nobody holds a device that was made, although other threads start programs all the
// time.
func TestTapIsFree(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a network namespace needs root")
	}
	if _, err := os.Stat("/dev/net/tun"); errors.Is(err, fs.ErrNotExist) {
		t.Skip("the kernel has no tap devices, and pasta would not run either")
	} else if err != nil {
		t.Fatal(err)
	}
	ns, err := netns.Anonymous()
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	stop := make(chan struct{})
	var starters sync.WaitGroup
	for range 4 {
		starters.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					_ = exec.Command("/bin/true").Run() // what it does is no matter
				}
			}
		})
	}
	defer starters.Wait()
	defer close(stop)
	err = netns.Do(ns, func() error {
		for i := range 200 {
			name := fmt.Sprintf("tap%d", i)
			if err := makeTap(name); err != nil {
				return err
			}
			if err := makeTap(name); err != nil { // as pasta opens it
				return fmt.Errorf("%s is taken: %w", name, err)
			}
			dad, err := os.ReadFile("/proc/sys/net/ipv6/conf/" + name + "/accept_dad")
			if err == nil && strings.TrimSpace(string(dad)) != "0" {
				return fmt.Errorf("%s looks for its addresses elsewhere: accept_dad is %s", name, dad)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
