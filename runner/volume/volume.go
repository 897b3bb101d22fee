// SPDX-License-Identifier: Apache-2.0

// Package volume keeps named volumes of the driver local: directories under the
// storage, where podman has them, too.
//
//	GRAPHROOT/volumes/NAME/_data          what containers see
//	GRAPHROOT/volumes/NAME/podunit.json   labels and options, see Volume
//
// A volume without podunit.json was made by another tool; it can be used, not removed. A volume may
// stand for something else, which is mounted on its directory whenever a container uses it: see
// mount.go. Which containers do is not known here, which units name one tells package claim.
//
// Who fills or removes a volume holds the lock of its directory GRAPHROOT/volumes/NAME,
// see lock.go.
package volume

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/podunit/podunit/runner/journal"
	"github.com/podunit/podunit/runner/safe"
)

var (
	// ErrNotFound is a volume that isn't there.
	ErrNotFound = errors.New("no such volume")
	// ErrExists is a volume that is there already.
	ErrExists = errors.New("volume already exists")
)

// Volume is a volume and how it came about. Its JSON is the file podunit.json.
type Volume struct {
	Name      string
	CreatedAt time.Time
	Labels    map[string]string `json:",omitempty"`
	Options   map[string]string `json:",omitempty"` // as given with --opt
	Anonymous bool              `json:",omitempty"` // made for a container, and removed with it

	Dir     string `json:"-"` // what containers see: .../NAME/_data
	Foreign bool   `json:"-"` // there is no record of podunit's
	Damaged error  `json:"-"` // why the record cannot be read; a power cut may have emptied it
}

// Driver is local, or image where the volume is the files of one.
func (v *Volume) Driver() string {
	if w, _ := v.What(); w.Image != "" {
		return DriverImage
	}
	return DriverLocal
}

// NoCopy reports whether a new container must not fill the volume from its image.
func (v *Volume) NoCopy() bool {
	_, no := v.Options["nocopy"]
	return no || slices.Contains(strings.Split(v.Options["o"], ","), "nocopy")
}

// Volumes is the volumes of one storage.
type Volumes struct {
	dir string
	// Event gets what happens to volumes; nil for nobody.
	Event func(journal.Event)
}

func (v *Volumes) tell(status, name string) {
	if v.Event != nil {
		v.Event(journal.Event{Type: "volume", Status: status, Time: time.Now(), Name: name})
	}
}

const (
	data   = "_data"
	record = "podunit.json"
	// Names that begin with a dot are no volume names.
	making   = ".making-"
	removing = ".removing-"
)

// New gives the volumes of the storage at graphRoot. It touches nothing.
func New(graphRoot string) *Volumes { return &Volumes{dir: filepath.Join(graphRoot, "volumes")} }

// Options says how a volume is made.
type Options struct {
	Labels    map[string]string
	Options   map[string]string
	UID, GID  int // owner of the directory, as containers count; 0 is root
	Anonymous bool
	// Fill, if it is set, puts files into the directory of the volume before anybody finds the
	// volume. If it fails, there is no volume.
	Fill func(dir string) error
}

// maxName is how long the name of a volume may be that a container names: see spec.CheckName.
const maxName = 240

// CheckName reports what is wrong with a name for a volume.
func CheckName(name string) error {
	if !regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`).MatchString(name) {
		return fmt.Errorf("volume name %q: it must match [a-zA-Z0-9][a-zA-Z0-9_.-]*", name)
	}
	return nil
}

// Create makes a volume. It is there in full or not at all, also after a power
// failure. The error is ErrExists when there is one of that name.
func (v *Volumes) Create(name string, o Options) (*Volume, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	if len(name) > maxName {
		return nil, fmt.Errorf("a volume's name of %d characters: it may have %d", len(name), maxName)
	}
	path := filepath.Join(v.dir, name)
	if _, err := os.Lstat(path); err == nil {
		return nil, fmt.Errorf("%s: %w", name, ErrExists)
	}
	if err := v.makeDir(); err != nil {
		return nil, err
	}
	v.Sweep()
	tmp, err := os.MkdirTemp(v.dir, fmt.Sprintf("%s%d-", making, os.Getpid()))
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp) // gone by then, if all went well
	made := &Volume{Name: name, CreatedAt: time.Now(), Labels: o.Labels, Options: o.Options, Anonymous: o.Anonymous, Dir: filepath.Join(path, data)}
	text, err := json.MarshalIndent(made, "", "    ")
	if err != nil {
		return nil, err
	}
	if err := errors.Join(
		os.Mkdir(filepath.Join(tmp, data), 0o755),
		os.Chown(filepath.Join(tmp, data), o.UID, o.GID),
		safe.Write(filepath.Join(tmp, record), append(text, '\n'), 0o600),
	); err != nil {
		return nil, err
	}
	if err := o.fill(filepath.Join(tmp, data)); err != nil {
		return nil, fmt.Errorf("fill volume %s: %w", name, err)
	}
	if err := os.Rename(tmp, path); err != nil {
		if errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, fs.ErrExist) {
			err = fmt.Errorf("%s: %w", name, ErrExists)
		}
		return nil, err
	}
	v.tell("create", name)
	return made, safe.Sync(v.dir)
}

// makeDir makes the directory of all volumes.
func (v *Volumes) makeDir() error {
	if isDir(v.dir) {
		return nil
	}
	if err := os.MkdirAll(v.dir, 0o700); err != nil {
		return err
	}
	return safe.Sync(filepath.Dir(v.dir))
}

// Ensure gives a volume, and whether it was made now because there
// was none. It waits for whoever is about to remove the volume.
func (v *Volumes) Ensure(ctx context.Context, name string, options Options) (got *Volume, made bool, err error) {
	err = v.WithLock(ctx, name, func() error { return nil })
	if errors.Is(err, ErrNotFound) {
		got, err := v.Create(name, options)
		if err == nil || !errors.Is(err, ErrExists) {
			return got, err == nil, err
		}
	} else if err != nil {
		return nil, false, err
	}
	got, err = v.Get(name)
	return got, false, err
}

// Get finds a volume by its name. The error is ErrNotFound if there is none; a record that
// cannot be read is no error, see Damaged.
func (v *Volumes) Get(name string) (*Volume, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	path := filepath.Join(v.dir, name)
	got := &Volume{Name: name, Dir: filepath.Join(path, data)}
	st, err := os.Stat(got.Dir)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
			err = fmt.Errorf("%s: %w", name, ErrNotFound)
		}
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(path, record))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		got.Foreign, got.CreatedAt = true, st.ModTime()
		return got, nil
	case err != nil:
		return nil, err
	}
	if len(text) == 0 {
		err = errors.New("it is empty")
	} else {
		err = json.Unmarshal(text, got)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", filepath.Join(path, record), err)
		return &Volume{Name: name, Dir: got.Dir, CreatedAt: st.ModTime(), Damaged: err}, nil
	}
	got.Name = name
	return got, nil
}

// List gives all volumes, sorted by name.
func (v *Volumes) List() ([]*Volume, error) {
	entries, err := os.ReadDir(v.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []*Volume
	for _, e := range entries {
		if CheckName(e.Name()) != nil || !e.IsDir() {
			continue
		}
		got, err := v.Get(e.Name())
		if errors.Is(err, ErrNotFound) {
			continue // it went just now, or is no volume
		}
		if err != nil {
			return nil, err
		}
		all = append(all, got)
	}
	return all, nil
}

// Sweep removes what was being made or removed when a runner was killed or the machine
// went down.
func (v *Volumes) Sweep() {
	old, _ := filepath.Glob(filepath.Join(v.dir, removing+"*"))
	for _, path := range old {
		_ = os.RemoveAll(path) // the next one tries again; two at it do no harm
	}
	old, _ = filepath.Glob(filepath.Join(v.dir, making+"*"))
	for _, path := range old {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(path), making), "-")
		n, err := strconv.Atoi(pid)
		dead := err == nil && errors.Is(syscall.Kill(n, 0), syscall.ESRCH)
		// After a reboot the PID may be somebody else's.
		if st, err := os.Lstat(path); dead || err == nil && time.Since(st.ModTime()) > time.Hour {
			_ = os.RemoveAll(path)
		}
	}
}

func isDir(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir()
}
