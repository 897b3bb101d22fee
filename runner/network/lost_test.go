// SPDX-License-Identifier: Apache-2.0

package network

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/podunit/podunit/runner/netns"
	"github.com/podunit/podunit/runner/network/netavark"
	"github.com/podunit/podunit/runner/network/netavark/netavarktest"
	"github.com/podunit/podunit/runner/process"
	"github.com/podunit/podunit/runner/spec"
)

// TestLostBeforeAProcess: the namespace of a user's networks is lost after a container's links were
// made in it, and made again before the container's process is noted: whoever does that does not see
// the container.
func TestLostBeforeAProcess(t *testing.T) {
	for _, lost := range []struct{ beforeWait, after bool }{{}, {beforeWait: true}, {after: true}, {true, true}} {
		t.Run(fmt.Sprintf("%+v", lost), func(t *testing.T) {
			named, dir := netavarktest.New(t), t.TempDir()
			n, err := Start(t.Context(), Request{
				Network: spec.Network{Mode: spec.NetBridge}, Dir: dir, Files: dir, Config: named.Config,
				Bridge: &Bridge{Store: named.Store, Connection: named.Connection("one"), Servers: named.Servers()},
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = n.Close() })
			n.Connect(t.Context(), "")
			<-n.done
			want := 1
			if lost.beforeWait {
				named.Lose()
				want++
			}
			if _, err := n.Wait(t.Context(), ""); err != nil {
				t.Fatal(err)
			}
			if lost.after {
				named.Lose()
				want++
			}
			if err := errors.Join(n.Rejoin(t.Context()), n.Rejoin(t.Context())); err != nil {
				t.Fatal(err)
			}
			if got := named.Setups(); got != want {
				t.Errorf("connected %d times, want %d", got, want)
			}
			if err := Reconnect(t.Context(), dir, os.Getpid(), process.StartTicks(os.Getpid())+1, netavark.Servers{}); !errors.Is(err, netns.ErrEnded) {
				t.Errorf("one that has ended is connected again: %v", err)
			}
			// Its start and the namespace's unit may both connect it again.
			again := make(chan error)
			for range 2 {
				go func() {
					_, err := reconnect(t.Context(), dir, n.Open, netavark.Servers{})
					again <- err
				}()
			}
			if err := errors.Join(<-again, <-again); err != nil {
				t.Errorf("connected again twice: %v", err)
			}
		})
	}
}
