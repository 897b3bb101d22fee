// SPDX-License-Identifier: Apache-2.0

package download

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/podunit/podunit/runner/safe"
	"golang.org/x/sys/unix"
)

// Lock is held by who pulls an image, so that a second pull of the same image waits
// for the first one instead of downloading it twice. It is a file in RUN/podunit/pull
// whose name is a hash of the reference; in it the holder writes its Progress as JSON,
// for those who wait. A dead holder's lock is free.
type Lock struct {
	file *os.File
}

// WithLock does something while nobody else pulls what has the name. While somebody else does,
// report gets that one's progress. do is told whether it had to wait.
func WithLock(ctx context.Context, runDir, name string, interval time.Duration, report func(Progress), do func(l *Lock, waited bool) error) error {
	l, waited, err := takeLock(ctx, runDir, name, interval, report)
	if err != nil {
		return err
	}
	defer l.close()
	return do(l, waited)
}

func takeLock(ctx context.Context, runDir, name string, interval time.Duration, report func(Progress)) (*Lock, bool, error) {
	if runDir == "" {
		return &Lock{}, false, nil
	}
	dir := filepath.Join(runDir, "podunit", "pull")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, false, err
	}
	path := filepath.Join(dir, fmt.Sprintf("%x.lock", sha256.Sum256([]byte(name))))
	l := &Lock{}
	var waited bool
	var reported time.Time
	last := Progress{Name: name}
	for {
		f := l.file
		if f == nil {
			var err error
			if f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC, 0o600); err != nil {
				return nil, waited, err
			}
			l.file = f
		}
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil && !l.current() {
			f.Close() // its holder removed it: the next one locks another file
			l.file = nil
			continue
		}
		if err == nil {
			l.Write(Progress{Name: name})
			return l, waited, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			f.Close()
			return nil, waited, fmt.Errorf("%s: %w", path, err)
		}
		waited = true
		if report != nil && time.Since(reported) >= interval {
			p := l.read(last)
			p.Moved = p.Done != last.Done || p.Total != last.Total || p.LayersDone != last.LayersDone || p.Moved && p.Done >= p.Total
			last, reported = p, time.Now()
			report(p)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, waited, ctx.Err()
		case <-time.After(Look):
		}
	}
}

// read gives the holder's progress, or last when it is being written just now.
func (l *Lock) read(last Progress) Progress {
	data := make([]byte, 4096)
	n, _ := l.file.ReadAt(data, 0)
	p := last
	if json.Unmarshal(data[:n], &p) != nil {
		p = last
	}
	p.Waiting = true
	return p
}

// Write tells those who wait.
func (l *Lock) Write(p Progress) {
	if l.file == nil {
		return
	}
	data, err := json.Marshal(p)
	if err != nil {
		return
	}
	// A reader that comes between the two sees broken JSON and keeps what it had.
	_ = l.file.Truncate(0)
	_, _ = l.file.WriteAt(data, 0)
}

// current reports whether the locked file is the one that others will open.
func (l *Lock) current() bool {
	there, err := safe.StillThere(l.file)
	return there && err == nil
}

// sweepLocks removes the locks of pulls that were killed.
func sweepLocks(runDir string) {
	files, _ := filepath.Glob(filepath.Join(runDir, "podunit", "pull", "*.lock"))
	for _, path := range files {
		f, err := os.OpenFile(path, os.O_RDWR|unix.O_CLOEXEC, 0)
		if err != nil {
			continue // gone
		}
		if held, err := safe.TryFlock(f); held && err == nil {
			(&Lock{file: f}).close()
		}
		f.Close()
	}
}

// close lets the next one in, with a file of its own.
func (l *Lock) close() {
	if l.file != nil {
		_ = os.Remove(l.file.Name()) // in a directory that goes with the session
		l.file.Close()
	}
}
