// SPDX-License-Identifier: Apache-2.0

package download

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Share lets the caller put files into the directory that Open has opened, until it closes what is
// returned, or ends: the library puts archives and blobs there while it reads them, under names of
// its own. First it removes what others have left there who were killed. Everybody who may have
// such files holds a lock on the directory of blobs, which is always there. made are marks, see
// Mark, of those that were killed: the caller removes them once it has looked at what they were
// making.
func Share(own *os.Root) (shared *os.File, made []string, err error) {
	made = sweepShared(own)
	if err := own.Mkdir(blobs, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, made, err
	}
	f, err := own.Open(blobs)
	if err != nil {
		return nil, made, err
	}
	// Who has it alone is removing: a moment.
	for {
		if err = unix.Flock(int(f.Fd()), unix.LOCK_SH); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, made, err
	}
	return f, made, nil
}

// mark is how the name of a mark begins.
const mark = "making-"

// Mark tells whoever comes later that something was being made in the storage, if this process is
// killed before it calls done. It must have the directory shared.
func Mark(own *os.Root) (done func()) {
	name := mark + rand.Text()
	f, err := own.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return func() {} // on a full disk nothing else is made either
	}
	f.Close()
	return func() { _ = own.Remove(name) }
}

// sweepShared removes the files that nobody uses any more, and gives the marks of those that are
// dead. It does nothing while somebody has the lock.
func sweepShared(own *os.Root) (made []string) {
	f, err := own.Open(blobs)
	if err != nil {
		return nil // nobody has ever put files there
	}
	defer f.Close()
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		return nil
	}
	for _, e := range entries(own, ".") {
		switch name := e.Name(); {
		case name == blobs, name == notes, strings.HasPrefix(name, pull):
		case strings.HasPrefix(name, mark):
			made = append(made, name)
		default:
			_ = own.RemoveAll(name) // the next one tries again
		}
	}
	return made
}
