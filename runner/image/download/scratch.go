// SPDX-License-Identifier: Apache-2.0

package download

import (
	"errors"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Share lets the caller put files into the directory that Open has opened, until it closes what is
// returned, or ends: the library puts archives and blobs there while it reads them, under names of
// its own. First it removes what others have left there who were killed. Everybody who may have such
// files holds a lock on the directory of blobs, which is always there.
func Share(own *os.Root) (*os.File, error) {
	sweepShared(own)
	if err := own.Mkdir(blobs, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	f, err := own.Open(blobs)
	if err != nil {
		return nil, err
	}
	// Who has it alone is removing: a moment.
	for {
		if err = unix.Flock(int(f.Fd()), unix.LOCK_SH); err != unix.EINTR {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// sweepShared removes the files that nobody uses any more: not while somebody has the lock.
func sweepShared(own *os.Root) {
	f, err := own.Open(blobs)
	if err != nil {
		return // nobody has ever put files there
	}
	defer f.Close()
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		return
	}
	for _, e := range entries(own, ".") {
		switch name := e.Name(); {
		case name == blobs, name == notes, strings.HasPrefix(name, pull):
		default:
			_ = own.RemoveAll(name) // the next one tries again
		}
	}
}
