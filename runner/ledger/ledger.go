// SPDX-License-Identifier: Apache-2.0

// Package ledger is what auto-update must remember from one run to the next: units that do not run
// the image that their reference means, units on trial, images that are kept, and the history.
//
// It has a package of its own because every start of a container reads one part of it: whether
// this unit is to run another image for now.
package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/podunit/podunit/runner/safe"
)

// Held is a unit that does not run what its reference means, because that failed it.
type Held struct {
	Unit, Container string
	Reference       string
	Bad             digest.Digest // what the registry had for the reference when the unit failed with it
	BadID           string        // ID of that image
	ImageID         string        // what the unit runs instead
	Since           time.Time
}

// Trial is a unit that was restarted with a new image and is not judged yet.
type Trial struct {
	Unit, Container string
	Reference       string
	OldID, NewID    string // IDs of images; OldID may be empty
	Digest          digest.Digest
	Since           time.Time
	Until           time.Time // end of the window
	// Restarts and Invocation are those of the unit after its restart; an empty Invocation says
	// that the restart was never seen to end.
	Restarts   int
	Invocation string
	Was        string // the Invocation before the restart
	Meant      string // ID of the image that the reference meant before the pull; NewID is empty until that has ended
	// Made describes a container that is gone when it ends, so that it can be made again.
	Made json.RawMessage `json:",omitempty"`
	// NeededBy are the units that were up before and that the manager restarts with this one, and the
	// Invocation of each.
	NeededBy map[string]string `json:",omitempty"`
}

// Kept is an image that stays for rollbacks.
type Kept struct {
	Unit, Container, ImageID string
	Since                    time.Time
	Bad                      bool `json:",omitempty"` // the image failed the unit, and goes as soon as it may
}

// Refused is a digest that failed a unit before the one that Held tells of.
type Refused struct {
	Unit, Container, Reference string
	Digest                     digest.Digest
}

// Event is one line of the history.
type Event struct {
	Time            time.Time
	Unit, Container string
	Reference       string
	Old, New        string        // IDs of images
	Digest          digest.Digest `json:",omitempty"`
	Result          string        // a value of update.Outcome
	Why             string        `json:",omitempty"`
}

// Ledger is the content of the files.
type Ledger struct {
	Held    []Held
	Trials  []Trial
	Kept    []Kept
	Refused []Refused
	History []Event

	dir string
}

// How many events and refused digests are kept.
const (
	historyLength = 1000
	refusedLength = 500
)

// The files: what every start reads, and the rest.
const (
	heldFile = "held.json"
	restFile = "update.json"
)

type rest struct {
	Trials  []Trial
	Kept    []Kept
	Refused []Refused
	History []Event
}

// Dir is the directory of the ledger of a storage.
func Dir(graphRoot string) string { return filepath.Join(graphRoot, "podunit", "update") }

// Open reads the ledger of a directory; one that is not there is empty. A file that cannot be
// understood is moved aside, since no update must fail for it: the ledger is usable then, and damage
// says what was lost. Where a file cannot be read, or not be moved aside, there is no ledger: to save
// one would lose what the file has.
func Open(dir string) (b *Ledger, damage, err error) {
	b = &Ledger{dir: dir}
	var r rest
	damaged := new(damagedError)
	for name, v := range map[string]any{heldFile: &b.Held, restFile: &r} {
		e := read(filepath.Join(dir, name), v)
		if errors.As(e, damaged) {
			damage = errors.Join(damage, e)
		} else {
			err = errors.Join(err, e)
		}
	}
	if err != nil {
		return nil, damage, err
	}
	b.Trials, b.Kept, b.Refused, b.History = r.Trials, r.Kept, r.Refused, r.History
	return b, damage, nil
}

// Sweep removes what a Save has left that was killed. The caller is the only one who saves.
func Sweep(dir string) error {
	return errors.Join(safe.Sweep(filepath.Join(dir, heldFile)), safe.Sweep(filepath.Join(dir, restFile)))
}

// damagedError is of a file that was moved aside.
type damagedError struct {
	path, aside string
	err         error
}

func (e damagedError) Error() string {
	return fmt.Sprintf("%s: %v; it is now %s", e.path, e.err, e.aside)
}

func (e damagedError) Unwrap() error { return e.err }

// read reads a file, if it is there.
func read(path string, v any) error {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		aside := path + ".damaged"
		if rerr := os.Rename(path, aside); rerr != nil {
			return fmt.Errorf("%s: %w: %w", path, err, rerr)
		}
		return damagedError{path, aside, err}
	}
	return nil
}

// Save writes the ledger so that a power cut leaves the old one or the new one of each file. What
// a start reads is written first.
func (b *Ledger) Save() error {
	if n := len(b.History) - historyLength; n > 0 {
		b.History = slices.Delete(b.History, 0, n)
	}
	if err := os.MkdirAll(b.dir, 0o700); err != nil {
		return err
	}
	held := filepath.Join(b.dir, heldFile)
	if _, err := os.Lstat(held); len(b.Held) > 0 || err == nil {
		if err := write(held, b.Held); err != nil {
			return err
		}
	}
	return write(filepath.Join(b.dir, restFile), rest{b.Trials, b.Kept, b.Refused, b.History})
}

func write(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "\t")
	if err != nil {
		return err
	}
	return safe.Write(path, data, 0o600)
}

// Instead tells which image a unit is to run, by its ID, when its reference means the image
// current; empty if that one is right. It holds until the reference means another image than
// the one that failed.
func (b *Ledger) Instead(unit, reference, current string) string {
	return instead(b.Held, unit, reference, current)
}

// Instead is Ledger.Instead for the start of a unit: of one that cannot be read nothing is held.
func Instead(dir, unit, reference, current string) string {
	data, err := os.ReadFile(filepath.Join(dir, heldFile))
	if err != nil {
		return ""
	}
	var held []Held
	if json.Unmarshal(data, &held) != nil {
		return "" // the next update moves it aside and says so
	}
	return instead(held, unit, reference, current)
}

func instead(held []Held, unit, reference, current string) string {
	for _, h := range held {
		if h.Unit == unit && h.Reference == reference && h.BadID == current {
			return h.ImageID
		}
	}
	return ""
}

// FailedWith reports whether a container of a unit failed with what the registry has.
func (b *Ledger) FailedWith(unit, container, reference string, d digest.Digest) bool {
	return slices.ContainsFunc(b.Held, func(h Held) bool {
		return h.Unit == unit && h.Container == container && h.Reference == reference && h.Bad == d
	}) || d != "" && slices.Contains(b.Refused, Refused{unit, container, reference, d})
}

// Trial finds a trial; nil if there is none.
func (b *Ledger) Trial(unit, container string) *Trial {
	i := slices.IndexFunc(b.Trials, func(t Trial) bool { return t.Unit == unit && t.Container == container })
	if i < 0 {
		return nil
	}
	return &b.Trials[i]
}

// Begin notes a trial, in the place of an earlier one.
func (b *Ledger) Begin(t Trial) {
	b.End(t)
	b.Trials = append(b.Trials, t)
}

// End forgets a trial.
func (b *Ledger) End(t Trial) {
	b.Trials = slices.DeleteFunc(b.Trials, func(x Trial) bool { return x.Unit == t.Unit && x.Container == t.Container })
}

// Hold notes that a unit is to run another image.
func (b *Ledger) Hold(h Held) {
	if old := slices.IndexFunc(b.Held, func(x Held) bool {
		return x.Unit == h.Unit && x.Container == h.Container && x.BadID == h.BadID
	}); old >= 0 {
		b.Held = slices.Delete(b.Held, old, old+1)
	}
	b.Release(h.Unit, h.Container)
	b.Held = append(b.Held, h)
}

// Keep notes an image as the newest of those that are kept for a container.
func (b *Ledger) Keep(k Kept) {
	b.Kept = slices.DeleteFunc(b.Kept, func(x Kept) bool {
		return x.Unit == k.Unit && x.Container == k.Container && x.ImageID == k.ImageID
	})
	b.Kept = append(b.Kept, k)
}

// Release lets a unit run what its reference means. The image that failed it is left to the
// cleaning, and its digest is not tried again.
func (b *Ledger) Release(unit, container string) {
	for _, h := range b.Held {
		if h.Unit == unit && h.Container == container {
			b.Keep(Kept{Unit: unit, Container: container, ImageID: h.BadID, Since: h.Since, Bad: true})
			b.Refused = append(b.Refused, Refused{Unit: unit, Container: container, Reference: h.Reference, Digest: h.Bad})
		}
	}
	if n := len(b.Refused) - refusedLength; n > 0 {
		b.Refused = slices.Delete(b.Refused, 0, n)
	}
	b.Held = slices.DeleteFunc(b.Held, func(h Held) bool { return h.Unit == unit && h.Container == container })
}
