// SPDX-License-Identifier: Apache-2.0

package play

import (
	"os"

	runner "github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/spec"
)

// Declared is a container that a play starts, whether it exists now or not.
type Declared struct {
	// Unit is the service that starts it; for a CronJob's container, the service of the timer.
	Unit string
	// Spec has its name, labels and image, and how that is pulled.
	Spec spec.Container
	// Ends says that the container runs to its end, like a job's: it is not restarted for a new
	// image.
	Ends bool
}

// Declared lists the containers of all plays. If the logins of a play for registries cannot be
// read, its containers come without them, and there is a warning.
func (p *Player) Declared() ([]Declared, error) {
	plays, err := p.store.all()
	if err != nil {
		return nil, err
	}
	var out []Declared
	for _, st := range plays {
		for _, one := range st.Plan.Pods {
			how, err := p.loginsOf(st, one)
			if err != nil {
				p.Warn(err.Error())
			}
			for _, c := range one.Containers {
				d := Declared{Unit: c.Unit, Spec: c.Spec, Ends: c.Role == kube.Init || one.Job != nil}
				if one.Cron != nil {
					d.Unit, d.Ends = cronUnit(one)+".service", true
				}
				how.apply(&d.Spec.Pull)
				out = append(out, d)
			}
		}
	}
	return out, nil
}

// Waiting lists the containers of the service of a .kube file that is stopped: its next start takes their new images.
func (p *Player) Waiting(service string, plan *kube.Plan, how Registry) []Declared {
	value := p.secretOf(plan)
	var out []Declared
	for _, one := range plan.Pods {
		asked, err := p.writeLogins(waiting(service), one, how, value, func(string) {}) // its start warns
		if err != nil {
			p.Warn(err.Error())
		}
		for _, c := range one.Containers {
			d := Declared{Unit: service, Spec: c.Spec, Ends: true}
			asked.apply(&d.Spec.Pull)
			out = append(out, d)
		}
	}
	return out
}

// waiting is the name under which the logins of a stopped service are written.
func waiting(service string) string { return "update of " + service }

// ForgetWaiting removes what Waiting has written.
func (p *Player) ForgetWaiting(service string) error {
	return os.RemoveAll(p.store.dir(waiting(service)))
}

// Noted are all plays, by name.
func (p *Player) Noted() ([]*State, error) { return p.store.all() }

// Secrets are the values of a play's own secrets, by secret and key. They are in memory: after a boot there are none.
func (p *Player) Secrets(play string) map[string]map[string][]byte {
	own, err := p.store.secrets(play)
	if err != nil {
		return nil
	}
	return own
}

// Of tells whether a container was played.
func (p *Player) Of(r runner.Record) bool {
	all, err := p.store.all()
	return err == nil && r.Spec.Pod != "" && Owner(all, r.Spec.Pod) != nil
}
