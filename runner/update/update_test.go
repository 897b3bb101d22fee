// SPDX-License-Identifier: Apache-2.0

package update

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/podunit/podunit/runner/image"
	"github.com/podunit/podunit/runner/ledger"
)

// world is a storage, a registry and a service manager in memory.
type world struct {
	t  *testing.T
	mu sync.Mutex

	local  map[string]*Image // by reference
	remote map[string]*Image // by reference: what the registry has
	looked []string          // for what the storage was searched
	asked  []string
	pulls  []string
	broken map[string]error // pulls that fail, by reference
	silent map[string]error // questions that fail, by reference
	kept   []string

	units    map[string]*State
	restarts []string
	// after a restart a unit gets this state, by the image it runs
	becomes map[string]func(*State)
	runs    map[string]string // image ID of what a unit runs, by unit
	image   map[string]string // reference of a unit
	ledger  *ledger.Ledger
	dir     string

	unclear  map[string]error // State fails, by unit
	unsure   map[string]error // Ended fails, by unit
	stopping bool
	always   bool   // the registry's image is newer, whatever is there
	hangs    string // ID of an image with which no unit gets ready
	removed  string // ID of an image that is not in the storage any more
	begun    time.Time
	// gives is what Restart answers, by unit, without having done anything
	gives map[string]error
}

func newWorld(t *testing.T) *world {
	w := &world{
		t: t, local: map[string]*Image{}, remote: map[string]*Image{}, broken: map[string]error{}, silent: map[string]error{},
		units: map[string]*State{}, becomes: map[string]func(*State){}, runs: map[string]string{}, image: map[string]string{}, dir: t.TempDir(),
	}
	w.reopen()
	return w
}

func (w *world) reopen() {
	var err error
	if w.ledger, _, err = ledger.Open(w.dir); err != nil {
		w.t.Fatal(err)
	}
}

func img(id string) *Image {
	return &Image{ID: strings.Repeat(id, 64), Digests: []digest.Digest{digest.FromString(id)}, Platform: "linux/amd64"}
}

// unit adds a unit that runs the image of a reference.
func (w *world) unit(name, reference, state string) {
	w.units[name] = &State{Active: state, Invocation: name + "-1", Window: 90 * time.Second}
	w.image[name] = reference
	if l := w.local[reference]; l != nil && state != "inactive" {
		w.runs[name] = l.ID
	}
}

// sorted joins lists of which the first has no order.
func sorted(first, rest []string) []string {
	return append(slices.Sorted(slices.Values(first)), rest...)
}

func (w *world) targets() []Target {
	var all []Target
	for _, name := range slices.Sorted(maps.Keys(w.units)) {
		if w.image[name] == "" {
			continue // it is there, and no container with an image of its own
		}
		all = append(all, Target{Unit: name, Container: "c-" + name, ID: w.runs[name], Image: w.image[name], Policy: Registry, Runs: w.runs[name]})
	}
	return all
}

func (w *world) Local(reference string) (*Image, error) {
	w.looked = append(w.looked, reference)
	return w.local[reference], nil
}

func (w *world) Newer(_ context.Context, q Question, local *Image) (Answer, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, q.Reference)
	if err := w.silent[q.Reference]; err != nil {
		return Answer{}, err
	}
	remote := w.remote[q.Reference]
	return Answer{Digest: remote.Digests[0], Newer: w.always || local == nil || local.ID != remote.ID}, nil
}

func (w *world) Pull(_ context.Context, q Question) (*Image, error) {
	w.pulls = append(w.pulls, q.Reference)
	if err := w.broken[q.Reference]; err != nil {
		return nil, err
	}
	if len(w.restarts) > 0 {
		w.t.Errorf("%s is pulled after a restart", q.Reference)
	}
	w.local[q.Reference] = w.remote[q.Reference]
	return w.local[q.Reference], nil
}

func (w *world) Keep(id string) error {
	if id == w.removed {
		return fmt.Errorf("%s: %w", id, image.ErrUnknown)
	}
	w.kept = append(w.kept, id)
	return nil
}

func (w *world) Drop(id string) error {
	w.kept = slices.DeleteFunc(w.kept, func(k string) bool { return k == id })
	return nil
}

func (w *world) State(_ context.Context, unit string) (State, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.unclear[unit]; err != nil {
		return State{}, err
	}
	s := *w.units[unit]
	s.Images, s.Ended = map[string]string{"c-" + unit: w.runs[unit]}, false
	return s, nil
}

// Restart does what the start of a unit does: it runs what its reference means, unless the
// ledger says otherwise.
func (w *world) Restart(ctx context.Context, unit string, k Known) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.restarts = append(w.restarts, unit)
	if err := w.gives[unit]; err != nil {
		return err
	}
	if w.image[unit] == "" {
		w.units[unit].Active = "active"
		return nil
	}
	id := w.local[w.image[unit]].ID
	if other := k.Instead(unit, w.image[unit], id); other != "" {
		id = other
	}
	w.runs[unit] = id
	s := w.units[unit]
	s.Active, s.Restarts, s.Refused, s.Health, s.Invocation = "active", 0, false, "", fmt.Sprintf("%s-%d", unit, len(w.restarts)+1)
	if id == w.hangs {
		s.Active = "activating"
		w.mu.Unlock()
		<-ctx.Done()
		w.mu.Lock()
		return ctx.Err()
	}
	if change := w.becomes[unit+" "+id[:1]]; change != nil {
		change(s)
	}
	if s.Active == "failed" {
		return errors.New("job failed")
	}
	return nil
}

func (w *world) Ended(_ context.Context, unit string) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.units[unit].Ended, w.unsure[unit]
}

func (w *world) Remember(context.Context, string) (json.RawMessage, error) { return nil, nil }

func (w *world) Stopping(context.Context) bool { return w.stopping }

func (w *world) runner() *Runner {
	return &Runner{Images: w, Units: w, Ledger: w.ledger, Options: Options{Rollback: true, Keep: 1}}
}

// run does a run and the judgement, and gives UPDATED of each unit.
func (w *world) run(r *Runner) (string, error) {
	rows, err := r.Run(context.Background(), w.targets())
	after, jerr := r.Judge(context.Background())
	final := map[string]Outcome{}
	for _, row := range append(rows, after...) {
		final[row.Unit] = row.Updated
	}
	var out []string
	for _, unit := range slices.Sorted(maps.Keys(final)) {
		out = append(out, fmt.Sprintf("%s:%s:%s", unit, final[unit], (w.runs[unit] + "-")[:1]))
	}
	return strings.Join(out, " "), errors.Join(err, jerr)
}

const nginx = "registry.test/nginx:latest"

func TestRun(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(w *world)
		want    string // UNIT:UPDATED:IMAGE
		err     string
		check   func(t *testing.T, w *world)
	}{
		"nothing newer": {
			prepare: func(w *world) { w.remote[nginx] = img("a") },
			want:    "web:false:a",
		},
		"a newer image": {
			prepare: func(w *world) { w.remote[nginx] = img("b") },
			want:    "web:true:b",
			check: func(t *testing.T, w *world) {
				if !slices.Equal(w.kept, []string{img("a").ID}) {
					t.Errorf("kept: %v", w.kept)
				}
			},
		},
		"a unit that fails at once": {
			prepare: func(w *world) {
				w.remote[nginx] = img("b")
				w.becomes["web b"] = func(s *State) { s.Active = "failed" }
			},
			want: "web:rolled back:a",
		},
		"a unit that systemd restarts": {
			prepare: func(w *world) {
				w.remote[nginx] = img("b")
				w.becomes["web b"] = func(s *State) {
					time.AfterFunc(20*time.Second, func() { w.mu.Lock(); defer w.mu.Unlock(); s.Restarts++ })
				}
			},
			want: "web:rolled back:a",
		},
		"a unit that gets unhealthy": {
			prepare: func(w *world) {
				w.remote[nginx] = img("b")
				w.becomes["web b"] = func(s *State) { s.Health = "unhealthy" }
			},
			want: "web:rolled back:a",
		},
		"a unit that never gets healthy": {
			prepare: func(w *world) {
				w.remote[nginx] = img("b")
				w.becomes["web b"] = func(s *State) { s.Health = "starting" }
			},
			want: "web:rolled back:a",
		},
		"a unit that somebody restarts by hand meanwhile": {
			prepare: func(w *world) {
				w.remote[nginx] = img("b")
				w.becomes["web b"] = func(s *State) {
					time.AfterFunc(5*time.Second, func() { w.mu.Lock(); defer w.mu.Unlock(); s.Invocation = "by hand" })
				}
			},
			want: "web:true:b",
		},
		"a unit that hangs at its start": {
			prepare: func(w *world) { w.remote[nginx] = img("b"); w.hangs = img("b").ID },
			want:    "web:rolled back:a",
			check: func(t *testing.T, w *world) {
				if took := time.Since(w.begun); took > 100*time.Second {
					t.Errorf("it took %s", took)
				}
			},
		},
		"a restart that somebody else took over": {
			prepare: func(w *world) {
				w.remote[nginx] = img("b")
				w.gives = map[string]error{"web": HinderedError{errors.New("job canceled")}}
			},
			want: "web:failed:a", err: "job canceled",
			check: func(t *testing.T, w *world) {
				if len(w.ledger.Held) > 0 || len(w.ledger.Trials) > 0 {
					t.Errorf("held %v, on trial %v", w.ledger.Held, w.ledger.Trials)
				}
			},
		},
		"somebody's restarts use up its tries": {
			prepare: func(w *world) {
				w.remote[nginx] = img("b")
				w.becomes["web b"] = func(s *State) {
					if len(w.restarts) == 1 {
						time.AfterFunc(5*time.Second, func() { w.mu.Lock(); defer w.mu.Unlock(); s.Active, s.Refused = "failed", true })
					}
				}
			},
			want: "web:true:b",
			check: func(t *testing.T, w *world) {
				if len(w.restarts) != 2 {
					t.Errorf("restarts %v", w.restarts)
				}
			},
		},
		"somebody's restarts use up the update's own": {
			prepare: func(w *world) {
				w.remote[nginx] = img("b")
				w.becomes["web b"] = func(s *State) {
					if s.Refused = len(w.restarts) == 1; s.Refused {
						s.Active = "failed"
					}
				}
			},
			want: "web:true:b",
		},
		"somebody restarts it for ever": {
			prepare: func(w *world) {
				w.remote[nginx] = img("b")
				w.becomes["web b"] = func(s *State) {
					time.AfterFunc(time.Second, func() { w.mu.Lock(); defer w.mu.Unlock(); s.Active, s.Refused = "failed", true })
				}
			},
			want: "web:failed:b", err: "so often that systemd refuses it",
			check: func(t *testing.T, w *world) {
				if len(w.ledger.Held) > 0 || len(w.ledger.Trials) > 0 || len(w.restarts) != 1+mostAgain {
					t.Errorf("held %v, on trial %v, restarts %v", w.ledger.Held, w.ledger.Trials, w.restarts)
				}
			},
		},
		"its own restarts use up its tries": {
			prepare: func(w *world) {
				w.remote[nginx] = img("b")
				w.becomes["web b"] = func(s *State) {
					time.AfterFunc(5*time.Second, func() {
						w.mu.Lock()
						defer w.mu.Unlock()
						s.Active, s.Refused, s.Restarts = "failed", true, 4
					})
				}
			},
			want: "web:rolled back:a",
		},
		"somebody is restarting it when its time is over": {
			prepare: func(w *world) {
				w.remote[nginx] = img("b")
				w.becomes["web b"] = func(s *State) {
					time.AfterFunc(89*time.Second, func() { w.mu.Lock(); defer w.mu.Unlock(); s.Active = "deactivating" })
					time.AfterFunc(95*time.Second, func() { w.mu.Lock(); defer w.mu.Unlock(); s.Active, s.Invocation = "active", "by hand" })
				}
			},
			want: "web:true:b",
		},
		"it ends well by itself": {
			prepare: func(w *world) {
				w.remote[nginx] = img("b")
				w.becomes["web b"] = func(s *State) {
					time.AfterFunc(5*time.Second, func() { w.mu.Lock(); defer w.mu.Unlock(); s.Active, s.Ended = "inactive", true })
				}
			},
			want: "web:rolled back:a",
		},
		"somebody stops it, and it is known late": {
			prepare: func(w *world) {
				w.remote[nginx] = img("b")
				w.becomes["web b"] = func(s *State) {
					time.AfterFunc(5*time.Second, func() { w.mu.Lock(); defer w.mu.Unlock(); s.Active, s.Ended = "inactive", true })
					time.AfterFunc(7*time.Second, func() { w.mu.Lock(); defer w.mu.Unlock(); s.Ended = false })
				}
			},
			want: "web:true:b",
		},
		"somebody stops it meanwhile": {
			prepare: func(w *world) {
				w.remote[nginx] = img("b")
				w.becomes["web b"] = func(s *State) {
					time.AfterFunc(5*time.Second, func() { w.mu.Lock(); defer w.mu.Unlock(); s.Active = "inactive" })
				}
			},
			want: "web:true:b",
		},
		"somebody is restarting it, and it had to be killed": {
			prepare: func(w *world) {
				w.remote[nginx] = img("b")
				w.becomes["web b"] = func(s *State) {
					time.AfterFunc(5*time.Second, func() { w.mu.Lock(); defer w.mu.Unlock(); s.Active, s.Asked = "failed", true })
					time.AfterFunc(7*time.Second, func() {
						w.mu.Lock()
						defer w.mu.Unlock()
						s.Active, s.Asked, s.Invocation = "active", false, "by hand"
					})
				}
			},
			want: "web:true:b",
		},
		"somebody is restarting it before": {
			prepare: func(w *world) {
				w.remote[nginx] = img("b")
				s := w.units["web"]
				s.Active, s.Asked = "deactivating", true
				time.AfterFunc(20*time.Second, func() { w.mu.Lock(); defer w.mu.Unlock(); s.Active, s.Asked = "active", false })
			},
			want: "web:true:b",
			check: func(t *testing.T, w *world) {
				if len(w.restarts) != 1 || len(w.ledger.History) != 1 {
					t.Errorf("restarts %v, history %v", w.restarts, w.ledger.History)
				}
			},
		},
		"somebody is stopping it before": {
			prepare: func(w *world) {
				w.remote[nginx] = img("b")
				s := w.units["web"]
				s.Active, s.Asked = "deactivating", true
				time.AfterFunc(20*time.Second, func() { w.mu.Lock(); defer w.mu.Unlock(); s.Active, s.Asked = "inactive", false })
			},
			want: "web:pending:a",
			check: func(t *testing.T, w *world) {
				if len(w.restarts) > 0 || len(w.ledger.Trials) > 0 {
					t.Errorf("restarts %v, trials %v", w.restarts, w.ledger.Trials)
				}
			},
		},
		"a unit that needs it fails with it": {
			prepare: func(w *world) {
				w.remote[nginx] = img("b")
				w.unit("front", "", "active")
				w.units["web"].NeededBy = []string{"front"}
				w.becomes["web b"] = func(*State) {
					f := w.units["front"]
					f.Invocation = "with web"
					time.AfterFunc(20*time.Second, func() { w.mu.Lock(); defer w.mu.Unlock(); f.Active = "failed" })
				}
			},
			want: "web:rolled back:a",
			check: func(t *testing.T, w *world) {
				if w.units["front"].Active != "active" || !strings.Contains(w.ledger.History[0].Why, "front, which needs it, failed") {
					t.Errorf("front is %s; %v", w.units["front"].Active, w.ledger.History)
				}
			},
		},
		"a unit that needs one that needs it went down with it": {
			prepare: func(w *world) {
				w.remote[nginx] = img("b")
				w.unit("front", "", "active")
				w.unit("behind", "", "active")
				w.unit("stopped", "", "inactive")
				w.units["web"].NeededBy, w.units["front"].NeededBy = []string{"front", "stopped"}, []string{"behind"}
				w.becomes["web b"] = func(s *State) {
					s.Active, w.units["front"].Active, w.units["behind"].Active = "failed", "inactive", "inactive"
				}
			},
			want: "web:rolled back:a",
			check: func(t *testing.T, w *world) {
				if w.units["front"].Active != "active" || w.units["behind"].Active != "active" || w.units["stopped"].Active != "inactive" {
					t.Errorf("front is %s, behind %s, stopped %s", w.units["front"].Active, w.units["behind"].Active, w.units["stopped"].Active)
				}
			},
		},
		"a transient unit that needs it is gone with it": {
			prepare: func(w *world) {
				w.remote[nginx] = img("b")
				w.unit("timer", "", "active")
				w.units["web"].NeededBy = []string{"timer"}
				w.becomes["web b"] = func(s *State) {
					s.Active, w.units["timer"].Active, w.units["timer"].Gone = "failed", "inactive", true
				}
			},
			want: "web:rolled back:a",
			check: func(t *testing.T, w *world) {
				if slices.Contains(w.restarts, "timer") {
					t.Errorf("restarts %v", w.restarts)
				}
			},
		},
		"one crashes while another hangs at its start": {
			prepare: func(w *world) {
				other := "registry.test/redis"
				w.local[other], w.remote[other] = img("c"), img("d")
				w.unit("cache", other, "active")
				w.unit("late", nginx, "active")
				w.units["late"].After = []string{"cache"}
				w.units["web"].Window = 10 * time.Second
				w.remote[nginx] = img("b")
				w.hangs = img("d").ID
				w.becomes["web b"] = func(s *State) {
					time.AfterFunc(5*time.Second, func() { w.mu.Lock(); defer w.mu.Unlock(); s.Restarts++ })
				}
				w.becomes["web a"] = func(*State) {
					if took := time.Since(w.begun); took > 10*time.Second {
						w.t.Errorf("the old image is back after %s", took)
					}
				}
			},
			want: "cache:rolled back:c late:true:b web:rolled back:a",
			check: func(t *testing.T, w *world) {
				if want := []string{"cache", "web", "web", "cache", "late"}; !slices.Equal(sorted(w.restarts[:2], w.restarts[2:]), want) {
					t.Errorf("restarts %v; want %v", w.restarts, want)
				}
			},
		},
		"a way back that hangs holds up no other": {
			prepare: func(w *world) {
				other := "registry.test/redis"
				w.local[other], w.remote[other] = img("c"), img("d")
				w.unit("cache", other, "active")
				w.remote[nginx] = img("b")
				w.hangs = img("c").ID
				w.becomes["cache d"] = func(s *State) { s.Active = "failed" }
				w.becomes["web b"] = func(s *State) {
					time.AfterFunc(5*time.Second, func() { w.mu.Lock(); defer w.mu.Unlock(); s.Restarts++ })
				}
				w.becomes["web a"] = func(*State) {
					if took := time.Since(w.begun); took > 10*time.Second {
						w.t.Errorf("the old image is back after %s", took)
					}
				}
			},
			want: "cache:failed:c web:rolled back:a", err: "does not start with its old image either",
		},
		"the machine goes down meanwhile": {
			prepare: func(w *world) {
				w.remote[nginx] = img("b")
				w.becomes["web b"] = func(s *State) { s.Active = "failed"; w.stopping = true }
			},
			want: "web:failed:b", err: "shutting down",
			check: func(t *testing.T, w *world) {
				if len(w.ledger.Held) > 0 || len(w.ledger.Trials) != 1 || len(w.restarts) != 1 {
					t.Errorf("held %v, on trial %v, restarts %v", w.ledger.Held, w.ledger.Trials, w.restarts)
				}
			},
		},
		"the registry packed the same image anew": {
			prepare: func(w *world) {
				again := *img("a")
				again.Digests = []digest.Digest{digest.FromString("packed anew")}
				w.remote[nginx], w.always = &again, true
			},
			want: "web:false:a",
			check: func(t *testing.T, w *world) {
				if len(w.restarts) > 0 {
					t.Errorf("restarts %v", w.restarts)
				}
			},
		},
		"the old image is gone": {
			prepare: func(w *world) { w.remote[nginx] = img("b"); w.removed = img("a").ID },
			want:    "web:true:b",
		},
		"one of two units that share an image fails": {
			prepare: func(w *world) {
				w.unit("api", nginx, "active")
				w.remote[nginx] = img("b")
				w.becomes["api b"] = func(s *State) { s.Active = "failed" }
			},
			want: "api:rolled back:a web:true:b",
			check: func(t *testing.T, w *world) {
				if one := []string{nginx}; !slices.Equal(w.asked, one) || !slices.Equal(w.pulls, one) || !slices.Equal(w.looked, one) {
					t.Errorf("looked for %v, asked %v, pulled %v", w.looked, w.asked, w.pulls)
				}
			},
		},
		"the rollback fails too": {
			prepare: func(w *world) {
				w.remote[nginx] = img("b")
				w.becomes["web b"] = func(s *State) { s.Active = "failed" }
				w.becomes["web a"] = func(s *State) { s.Active = "failed" }
			},
			want: "web:failed:a", err: "does not start with its old image either",
		},
		"a pull that breaks": {
			prepare: func(w *world) {
				other := "registry.test/redis"
				w.local[other], w.remote[other] = img("c"), img("d")
				w.unit("cache", other, "active")
				w.remote[nginx] = img("b")
				w.broken[nginx] = errors.New("connection reset")
			},
			want: "cache:true:d web:failed:a", err: "connection reset",
		},
		"a registry that does not answer": {
			prepare: func(w *world) {
				other := "down.test/redis"
				w.local[other] = img("c")
				w.unit("cache", other, "active")
				w.silent[other] = errors.New("no route to host")
				w.remote[nginx] = img("b")
			},
			want: "cache:failed:c web:true:b", err: "cache: no route to host",
		},
		"a stopped unit stays stopped": {
			prepare: func(w *world) { w.unit("web", nginx, "inactive"); delete(w.runs, "web"); w.remote[nginx] = img("b") },
			want:    "web:pending:-",
			check: func(t *testing.T, w *world) {
				if len(w.restarts) > 0 || w.local[nginx].ID != img("b").ID {
					t.Errorf("restarts %v, image %s", w.restarts, w.local[nginx].ID)
				}
			},
		},
		"a failed unit gets its fix": {
			prepare: func(w *world) { w.unit("web", nginx, "failed"); w.remote[nginx] = img("b") },
			want:    "web:true:b",
		},
		"a crash-looping unit gets its fix": {
			prepare: func(w *world) {
				w.unit("web", nginx, "activating")
				w.units["web"].Restarts = 40
				w.remote[nginx] = img("b")
			},
			want: "web:true:b",
		},
		"somebody pulled it already": {
			prepare: func(w *world) { w.remote[nginx], w.local[nginx] = img("b"), img("b") },
			want:    "web:true:b",
			check: func(t *testing.T, w *world) {
				if len(w.pulls) > 0 || !slices.Equal(w.kept, []string{img("a").ID}) {
					t.Errorf("pulled %v, kept %v", w.pulls, w.kept)
				}
			},
		},
		"a digest is pinned": {
			prepare: func(w *world) {
				w.image["web"] = "registry.test/nginx@" + digest.FromString("a").String()
				w.local[w.image["web"]] = img("a")
			},
			want: "web:false:a",
			check: func(t *testing.T, w *world) {
				if len(w.asked) > 0 {
					t.Errorf("asked %v", w.asked)
				}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.local[nginx] = img("a")
				w.unit("web", nginx, "active")
				w.begun = time.Now()
				c.prepare(w)
				got, err := w.run(w.runner())
				if got != c.want {
					t.Errorf("%s; want %s", got, c.want)
				}
				if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
					t.Errorf("error %v; want %q", err, c.err)
				}
				if c.check != nil {
					c.check(t, w)
				}
			})
		})
	}
}

// The digest that failed is not tried again, by no later run; the next one is.
func TestBadDigestIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.local[nginx], w.remote[nginx] = img("a"), img("b")
		w.unit("web", nginx, "active")
		w.becomes["web b"] = func(s *State) { s.Active = "failed" }
		var got []string
		step := func() {
			w.reopen()
			w.restarts = nil
			s, err := w.run(w.runner())
			if err != nil {
				t.Error(err)
			}
			got = append(got, fmt.Sprintf("%s restarts=%d", s, len(w.restarts)))
		}
		step()
		step()
		w.remote[nginx] = img("c")
		step()
		step()
		want := []string{"web:rolled back:a restarts=2", "web:false:a restarts=0", "web:true:c restarts=1", "web:false:c restarts=0"}
		if !slices.Equal(got, want) {
			t.Errorf("%q; want %q", got, want)
		}
	})
}

// Cut at each step, by kill -9 or a power failure, the unit has one of its images, and the next
// run ends as an uncut one does: with the new image, or with the old one if the new one is bad.
func TestCutAtEachStep(t *testing.T) {
	for name, c := range map[string]struct {
		bad  bool
		want *Image
		most int // steps at least
	}{"a good image": {false, img("b"), 4}, "a bad image": {true, img("a"), 5}} {
		start := func(t *testing.T) (*world, *Runner) {
			w := newWorld(t)
			w.local[nginx], w.remote[nginx] = img("a"), img("b")
			w.unit("web", nginx, "active")
			if c.bad {
				w.becomes["web b"] = func(s *State) { s.Active = "failed" }
			}
			return w, w.runner()
		}
		var steps []string
		synctest.Test(t, func(t *testing.T) {
			w, r := start(t)
			r.Reached = func(s string) { steps = append(steps, s) }
			if _, err := w.run(r); err != nil {
				t.Fatal(err)
			}
		})
		if len(steps) < c.most {
			t.Fatalf("%s: steps %q", name, steps)
		}
		for _, at := range steps {
			t.Run(name+", cut at "+at, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w, first := start(t)
					cutAt(t, w, first, at)
					w.reopen()
					next := w.runner()
					if _, err := next.Judge(context.Background()); err != nil {
						t.Error(err)
					}
					w.restarts = nil
					got, err := w.run(next)
					if err != nil || w.runs["web"] != c.want.ID {
						t.Errorf("%s, %v", got, err)
					}
				})
			})
		}
	}
}

// cutAt runs until a step is reached, and no further.
func cutAt(t *testing.T, w *world, r *Runner, at string) {
	type cut struct{}
	r.Reached = func(s string) {
		if s == at {
			panic(cut{})
		}
	}
	defer func() {
		if p := recover(); p != (cut{}) {
			t.Fatal("not cut:", p)
		}
	}()
	_, _ = w.run(r)
}

// A dry run and the policies check and pull restart nothing, and nothing that runs to its end is
// restarted.
func TestReportOnly(t *testing.T) {
	for name, c := range map[string]struct {
		dry    bool
		policy Policy
		ends   bool
		pulls  int
	}{
		"dry run": {true, Registry, false, 0}, "check": {false, Check, false, 0}, "pull": {false, Pull, false, 1}, "a job": {false, Registry, true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.local[nginx], w.remote[nginx] = img("a"), img("b")
			w.unit("web", nginx, "active")
			targets := w.targets()
			targets[0].Policy, targets[0].Ends = c.policy, c.ends
			r := w.runner()
			r.DryRun = c.dry
			rows, err := r.Run(context.Background(), targets)
			if err != nil || rows[0].Updated != Pending || len(w.restarts)+len(w.ledger.Trials) > 0 || len(w.pulls) != c.pulls {
				t.Errorf("%+v, %v; restarts %v, pulls %v", rows, err, w.restarts, w.pulls)
			}
		})
	}
}

// Where the settings allow no restart, a container with the policy local is reported, and no
// registry is asked for it.
func TestLimitedLocal(t *testing.T) {
	for _, policy := range []Policy{Check, Pull} {
		w := newWorld(t)
		w.local[nginx] = img("b")
		w.unit("web", nginx, "active")
		w.runs["web"] = img("a").ID
		targets := w.targets()
		targets[0].Policy = Local
		rows, err := w.runner().Run(context.Background(), Settings{Policy: policy}.Limit(targets))
		if err != nil || rows[0].Updated != Pending || len(w.restarts)+len(w.asked)+len(w.pulls) > 0 {
			t.Errorf("%s: %+v, %v; restarts %v, asked %v", policy, rows, err, w.restarts, w.asked)
		}
	}
}

func TestOrder(t *testing.T) {
	waiting := []string{"a", "b", "cache", "db", "web"}
	states := map[string]State{"web": {After: []string{"db", "cache", "network.target"}}, "a": {After: []string{"b"}}, "b": {After: []string{"a"}}}
	var groups [][]string
	for len(waiting) > 0 {
		group := inTurn(waiting, nil, states)
		if under := inTurn(waiting, []string{"x"}, states); len(under) != len(group) && len(under) > 0 {
			t.Errorf("%s while another is under way", under)
		}
		groups = append(groups, group)
		waiting = slices.DeleteFunc(waiting, func(u string) bool { return slices.Contains(group, u) })
	}
	if late := inTurn([]string{"web"}, []string{"db"}, states); len(late) > 0 {
		t.Errorf("%s before db is up", late)
	}
	got := fmt.Sprint(groups)
	if want := "[[cache db] [web] [a b]]"; got != want {
		t.Errorf("%s; want %s", got, want)
	}
}

// Questions to one registry are bounded, each is asked once, and one registry does not hold up
// another.
func TestAskAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &asker{}
		questions := make(map[Question]*Image)
		for i := range 40 {
			questions[Question{Reference: fmt.Sprintf("one.test/%d", i)}] = nil
			questions[Question{Reference: fmt.Sprintf("hangs.test/%d", i)}] = nil
		}
		begun := time.Now()
		all := askAll(context.Background(), a, questions, 0)
		if len(all) != len(questions) || a.most > perRegistry || time.Since(begun) > registryTimeout+time.Second {
			t.Errorf("%d answers, %d at once, %s", len(all), a.most, time.Since(begun))
		}
		for q, got := range all {
			if hangs := strings.HasPrefix(q.Reference, "hangs"); hangs != (got.err != nil) {
				t.Errorf("%s: %v", q.Reference, got.err)
			}
		}
	})
}

type asker struct {
	Images
	mu        sync.Mutex
	now, most int
}

func (a *asker) Newer(ctx context.Context, q Question, _ *Image) (Answer, error) {
	if strings.HasPrefix(q.Reference, "hangs") {
		<-ctx.Done()
		return Answer{}, ctx.Err()
	}
	a.mu.Lock()
	a.now++
	a.most = max(a.most, a.now)
	a.mu.Unlock()
	time.Sleep(50 * time.Millisecond)
	a.mu.Lock()
	a.now--
	a.mu.Unlock()
	return Answer{}, nil
}

// Replaced images stay for as many rollbacks as asked for, and as long as a held unit runs one.
func TestClean(t *testing.T) {
	w := newWorld(t)
	for i, id := range []string{"a", "b", "c"} {
		w.ledger.Kept = append(w.ledger.Kept, ledger.Kept{Unit: "web", ImageID: img(id).ID, Since: time.Unix(int64(i), 0)})
		w.kept = append(w.kept, img(id).ID)
	}
	w.ledger.Held = []ledger.Held{{Unit: "web", ImageID: img("a").ID}}
	w.units["web"] = &State{Active: "active"}
	if err := w.runner().clean(context.Background()); err != nil {
		t.Fatal(err)
	}
	if want := []string{img("a").ID, img("c").ID}; !slices.Equal(w.kept, want) || len(w.ledger.Kept) != 2 {
		t.Errorf("%v, %v", w.kept, w.ledger.Kept)
	}
}

// What is remembered of a unit outlives it for a month; the images that failed it go at once.
func TestForget(t *testing.T) {
	w := newWorld(t)
	old := time.Now().Add(-forgetAfter - time.Hour)
	w.units["here"], w.units["gone"], w.units["lately"] = &State{}, &State{Gone: true}, &State{Gone: true}
	for unit, since := range map[string]time.Time{"here": old, "gone": old, "lately": time.Now()} {
		id := img(unit[:1]).ID
		w.ledger.Keep(ledger.Kept{Unit: unit, Container: "c", ImageID: id, Since: since})
		w.ledger.Held = append(w.ledger.Held, ledger.Held{Unit: unit, ImageID: id, Since: since})
		w.kept = append(w.kept, id)
	}
	w.ledger.Keep(ledger.Kept{Unit: "here", Container: "c", ImageID: img("b").ID, Bad: true, Since: time.Now()})
	w.kept = append(w.kept, img("b").ID)
	if err := w.runner().clean(context.Background()); err != nil {
		t.Fatal(err)
	}
	slices.Sort(w.kept)
	if want := []string{img("h").ID, img("l").ID}; !slices.Equal(w.kept, want) || len(w.ledger.Held) != 2 {
		t.Errorf("%v, held %v", w.kept, w.ledger.Held)
	}
}

// Cut after the restart and before it was seen, the unit runs the new image and has not been judged.
// A boot later it crashes now and then: that is seen by the next run.
func TestJudgedAfterACut(t *testing.T) {
	for name, c := range map[string]struct {
		state State
		runs  string
		then  func(*State) // after 10 s
		want  string       // image at the end
	}{
		"the new one, and well":           {state: State{Active: "active"}, runs: "b", want: "b"},
		"the new one, and it crashes":     {state: State{Active: "active"}, runs: "b", then: func(s *State) { s.Restarts++ }, want: "a"},
		"the old one":                     {state: State{Active: "active"}, runs: "a", want: "a"},
		"it failed before, and still has": {state: State{Active: "failed", Invocation: "before"}, want: "b"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.local[nginx], w.remote[nginx] = img("b"), img("b")
				w.unit("web", nginx, "active")
				invocation := c.state.Invocation
				*w.units["web"] = c.state
				if invocation == "" {
					w.units["web"].Invocation = "after"
				}
				w.runs["web"] = ""
				if c.runs != "" {
					w.runs["web"] = img(c.runs).ID
				}
				w.ledger.Begin(ledger.Trial{
					Unit: "web", Container: "c-web", Reference: nginx, OldID: img("a").ID, NewID: img("b").ID,
					Digest: img("b").Digests[0], Since: time.Now(), Until: time.Now().Add(time.Minute), Was: "before",
				})
				if c.then != nil {
					s := w.units["web"]
					time.AfterFunc(10*time.Second, func() { w.mu.Lock(); defer w.mu.Unlock(); c.then(s) })
				}
				if _, err := w.runner().Judge(context.Background()); err != nil {
					t.Error(err)
				}
				if c.want == "b" && len(w.ledger.Held) > 0 {
					t.Errorf("held: %v", w.ledger.Held)
				}
				if c.runs != "" && w.runs["web"] != img(c.want).ID {
					t.Errorf("it runs %.1s", w.runs["web"])
				}
			})
		})
	}
}

// The power fails after the pull and before the restart. The boot starts the unit with the new image,
// which crashes it: the next run puts the old one back.
func TestBootBetweenPullAndRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.local[nginx], w.remote[nginx] = img("a"), img("b")
		w.unit("web", nginx, "active")
		cutAt(t, w, w.runner(), "pulled")
		w.reopen()
		s := w.units["web"]
		s.Active, s.Invocation, s.Restarts = "activating", "boot", 3
		delete(w.runs, "web") // between two of its starts
		time.AfterFunc(5*time.Second, func() { w.mu.Lock(); defer w.mu.Unlock(); s.Restarts = 4 })
		if _, err := w.runner().Judge(context.Background()); err != nil {
			t.Error(err)
		}
		if w.runs["web"] != img("a").ID || !w.ledger.FailedWith("web", "c-web", nginx, img("b").Digests[0]) {
			t.Errorf("it runs %.1s; held %v", w.runs["web"], w.ledger.Held)
		}
	})
}

// A unit runs its old image because the present one failed it. An update to the next one that is cut
// before its pull says nothing of that one.
func TestCutBeforeThePullOfAHeldUnit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.local[nginx], w.remote[nginx] = img("a"), img("b")
		w.unit("web", nginx, "active")
		w.becomes["web b"] = func(s *State) { s.Active = "failed" }
		if got, err := w.run(w.runner()); err != nil || got != "web:rolled back:a" {
			t.Fatal(got, err)
		}
		w.remote[nginx] = img("c")
		w.restarts = nil
		cutAt(t, w, w.runner(), "kept")
		w.reopen()
		if _, err := w.runner().Judge(context.Background()); err != nil || len(w.restarts) > 0 {
			t.Errorf("%v, restarts %v", err, w.restarts)
		}
		if got, err := w.run(w.runner()); err != nil || got != "web:true:c" {
			t.Error(got, err)
		}
	})
}

// webAndAPI has newer images for two units that have nothing to do with each other: b for a, and d
// for c.
func webAndAPI(t *testing.T) *world {
	const api = "registry.test/api:latest"
	w := newWorld(t)
	w.local[nginx], w.remote[nginx] = img("a"), img("b")
	w.local[api], w.remote[api] = img("c"), img("d")
	w.unit("web", nginx, "active")
	w.unit("api", api, "active")
	return w
}

// For ten seconds nobody can tell how a unit does with its new image, which is bad for it. Nothing
// is concluded from that, and the other unit is judged meanwhile.
func TestUnclearForAMoment(t *testing.T) {
	for name, c := range map[string]struct {
		unclear, unsure bool
		becomes         func(*State)
	}{
		"its state":                       {unclear: true, becomes: func(s *State) { s.Health = "unhealthy" }},
		"whether it has ended":            {unsure: true, becomes: func(s *State) { s.Active, s.Ended = "inactive", true }},
		"the state of what it takes down": {becomes: func(*State) {}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := webAndAPI(t)
				w.units["needy"] = &State{Active: "active", Invocation: "needy-1"}
				w.units["web"].NeededBy = []string{"needy"}
				w.becomes["web b"] = func(s *State) {
					c.becomes(s)
					failed := map[string]error{"web": errors.New("too many open files")}
					switch {
					case c.unclear:
						w.unclear = failed
					case c.unsure:
						w.unsure = failed
					default:
						w.units["needy"].Active, w.units["needy"].Invocation = "failed", "needy-2"
						w.unclear = map[string]error{"needy": failed["web"]}
					}
					time.AfterFunc(10*time.Second, func() { w.mu.Lock(); defer w.mu.Unlock(); w.unclear, w.unsure = nil, nil })
				}
				r := w.runner()
				r.Window = 5 * time.Second
				if got, err := w.run(r); err != nil || got != "api:true:d web:rolled back:a" {
					t.Error(got, err)
				}
			})
		})
	}
}

// Where it never can be told how a unit does, that is an error, and the unit stays on trial. The
// others are judged.
func TestUnclear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := webAndAPI(t)
		broken := errors.New("status.json: input/output error")
		w.becomes["web b"] = func(*State) { w.unclear = map[string]error{"web": broken} }
		got, err := w.run(w.runner())
		if got != "api:true:d web:true:b" || !errors.Is(err, broken) {
			t.Error(got, err)
		}
		if units := trialUnits(w.ledger.Trials); !slices.Equal(units, []string{"web"}) {
			t.Errorf("on trial: %v", units)
		}
		w.unclear = nil
		w.units["web"].Active = "failed"
		w.becomes = nil
		if got, err := w.run(w.runner()); err != nil || w.runs["web"] != img("a").ID {
			t.Error(got, err)
		}
	})
}

// Without Rollback a unit that fails is left as it is, and that is an error.
func TestNoRollback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.local[nginx], w.remote[nginx] = img("a"), img("b")
		w.unit("web", nginx, "active")
		w.becomes["web b"] = func(s *State) { s.Active = "failed" }
		r := w.runner()
		r.Rollback = false
		got, err := w.run(r)
		if got != "web:failed:b" || err == nil || len(w.restarts) != 1 {
			t.Errorf("%s, %v, restarts %v", got, err, w.restarts)
		}
	})
}

func TestPolicy(t *testing.T) {
	for text, want := range map[string]Policy{"": Disabled, "disabled": Disabled, "image": Registry, "registry": Registry, "local": Local, "check": Check, "pull": Pull} {
		if got, err := ParsePolicy(text); err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	if _, err := ParsePolicy("always"); err == nil || !strings.Contains(err.Error(), `invalid auto-update policy "always"`) {
		t.Error(err)
	}
}
