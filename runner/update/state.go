// SPDX-License-Identifier: Apache-2.0

package update

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
}

// Kept is an image that stays for rollbacks.
type Kept struct {
	Unit, ImageID string
	Since         time.Time
}

// Event is one line of the history.
type Event struct {
	Time                time.Time
	Unit, Container     string
	Reference, Old, New string
	Digest              digest.Digest `json:",omitempty"`
	Result              Outcome
	Why                 string `json:",omitempty"`
}

// State of all updates of one user, kept on disk.
type book struct {
	Held    []Held
	Trials  []Trial
	Kept    []Kept
	History []Event
}

// historyLength is how many events are kept.
const historyLength = 1000

// Book is the file with what must be remembered from one run to the next.
type Book struct {
	path  string
	write func(path string, data []byte) error
	book
}

// OpenBook reads the file below dir; a missing one is an empty book. A file that cannot be
// understood is moved aside, since no update must fail for it, and the error says so; the book
// is usable all the same. write replaces a file durably.
func OpenBook(dir string, write func(path string, data []byte) error) (*Book, error) {
	b := &Book{path: filepath.Join(dir, "update.json"), write: write}
	data, err := os.ReadFile(b.path)
	if errors.Is(err, fs.ErrNotExist) {
		return b, nil
	}
	if err != nil {
		return b, err
	}
	if err := json.Unmarshal(data, &b.book); err != nil {
		b.book = book{}
		aside := b.path + ".damaged"
		return b, errors.Join(fmt.Errorf("%s: %w; it is now %s", b.path, err, aside), os.Rename(b.path, aside))
	}
	return b, nil
}

func (b *Book) save() error {
	if n := len(b.History) - historyLength; n > 0 {
		b.History = slices.Delete(b.History, 0, n)
	}
	data, err := json.MarshalIndent(b.book, "", "\t")
	if err != nil {
		return err
	}
	return b.write(b.path, data)
}

// Instead tells which image a container of a unit is to run, by its ID, when the reference
// means the image current; empty if that one is right. It holds until the reference means
// another image than the one that failed.
func (b *Book) Instead(unit, reference, current string) string {
	for _, h := range b.Held {
		if h.Unit == unit && h.Reference == reference && h.BadID == current {
			return h.ImageID
		}
	}
	return ""
}

// failedWith reports whether a unit failed with what the registry has.
func (b *Book) failedWith(t Target, d digest.Digest) bool {
	return slices.ContainsFunc(b.Held, func(h Held) bool {
		return h.Unit == t.Unit && h.Container == t.Container && h.Reference == t.Image && h.Bad == d
	})
}

func (b *Book) trial(unit, container string) *Trial {
	i := slices.IndexFunc(b.Trials, func(t Trial) bool { return t.Unit == unit && t.Container == container })
	if i < 0 {
		return nil
	}
	return &b.Trials[i]
}

func (b *Book) endTrial(t Trial) {
	b.Trials = slices.DeleteFunc(b.Trials, func(x Trial) bool { return x.Unit == t.Unit && x.Container == t.Container })
}

func (b *Book) hold(h Held) {
	b.release(h.Unit, h.Container)
	b.Held = append(b.Held, h)
}

func (b *Book) release(unit, container string) {
	b.Held = slices.DeleteFunc(b.Held, func(h Held) bool { return h.Unit == unit && h.Container == container })
}
