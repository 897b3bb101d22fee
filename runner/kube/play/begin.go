// SPDX-License-Identifier: Apache-2.0

package play

import (
	"context"
	"errors"
	"fmt"
	"time"

	runner "github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/notify"
)

// A container whose hook or startup probe fails, or that ends before it is ready, is started again as its
// restart policy says, at its first start too. The service of the container notes why it did not begin; the play
// reads that, and waits for the manager's next try. A start that fails for another reason, such as an image that is
// not there, ends the play.

// beginning is the name of the note on how the start of a container went: Bad counts the tries that
// failed.
const beginning = "begin"

// beginLook is how often a play looks at a container that did not begin at its first try.
const beginLook = 500 * time.Millisecond

// restarted reports whether the manager starts a container again whose start has failed.
func restarted(p *kube.Pod, c *kube.Container) bool {
	return p.Job == nil && c.Role != kube.Init && c.Restart.Policy != "no" &&
		(c.PostStart != nil || c.Startup != nil || c.Readiness != nil)
}

// beginsNoted notes how a container has begun.
func (p *Player) beginsNoted(play, podName, name string, begun func(context.Context, runner.Record, runner.Status) error) func(context.Context, runner.Record, runner.Status) error {
	return func(ctx context.Context, made runner.Record, s runner.Status) error {
		err := begun(ctx, made, s)
		if err == nil || ctx.Err() != nil { // somebody stops it
			return err
		}
		v := p.store.verdict(play, podName, name, beginning)
		v.ID, v.Bad, v.Why = made.ID, v.Bad+1, err.Error()
		return errors.Join(err, p.store.setVerdict(play, v, podName, name, beginning))
	}
}

// untilBegun waits until a container is ready whose first start has failed with err. A play from a
// shell waits for some tries; in a service the start timeout ends the wait.
func (w *work) untilBegun(ctx context.Context, p *kube.Pod, c *kube.Container, err error) error {
	for seen := 0; ; {
		v := w.store.verdict(w.st.Name, p.Name, c.Name, beginning)
		u, uerr := w.Unit(ctx, c.Unit)
		switch {
		case uerr != nil:
			return errors.Join(err, uerr)
		case u.ActiveState == "active":
			return nil
		case v.Bad == 0, u.ActiveState != "activating" && u.ActiveState != "deactivating":
			return err
		case !w.Service && max(v.Bad, u.Restarts) >= initTries:
			return fmt.Errorf("it did not begin %d times, at last: %s", v.Bad, v.Why)
		case v.Bad > seen:
			seen = v.Bad
			w.Warn(fmt.Sprintf("pod %s: %s; it is started again", p.Name, v.Why))
			_ = w.Notify.Send(notify.Status("container " + c.Name + " of pod " + p.Name + " is started again")) // only a line less
		}
		if perr := pause(ctx, beginLook); perr != nil {
			return errors.Join(err, perr)
		}
	}
}
