// SPDX-License-Identifier: Apache-2.0

// Package disk is the disk of a lab, with a cache that loses its content when the power fails: a
// file served to qemu by the protocol of network block devices, as the specification in the nbd
// project's doc/proto.md has it, or to the host's own kernel by FUSE.
//
// What the machine writes goes to the file at its next flush, as on a disk with a write-back cache.
// Until then half of the blocks, by chance, are in the file already and the others only in this
// process: so killing it loses writes, and not in the order in which they came. What was flushed,
// and what was written with "force unit access", is never lost.
package disk

import (
	"fmt"
	"math/rand/v2"
	"os"
)

// block is what is kept or lost as one piece, in bytes: sectors of that size are not torn.
const block = 4096

// Disk is a file with a cache above it. It serves one machine: its methods are not for several
// goroutines.
type Disk struct {
	file *os.File
	size int64
	// held are the blocks that are not in the file yet, by their number.
	held map[int64][]byte
	hold func() bool // whether the next block waits for a flush
}

// Open opens the file of a disk. The seed chooses which blocks wait for a flush.
func Open(path string, seed uint64) (*Disk, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	if info.Size()%block != 0 {
		f.Close()
		return nil, fmt.Errorf("%s has %d bytes: a disk has a multiple of %d", path, info.Size(), block)
	}
	d := &Disk{file: f, size: info.Size(), held: map[int64][]byte{}}
	random := rand.New(rand.NewPCG(seed, 0))
	d.hold = func() bool { return random.IntN(2) == 0 }
	return d, nil
}

// Close forgets what was not flushed.
func (d *Disk) Close() error { return d.file.Close() }

// check that a request lies on the disk.
func (d *Disk) check(n int, off int64) error {
	if off < 0 || off > d.size-int64(n) {
		return fmt.Errorf("%d bytes at %d: the disk has %d", n, off, d.size)
	}
	return nil
}

// ReadAt reads what was written last, flushed or not.
func (d *Disk) ReadAt(p []byte, off int64) (int, error) {
	if err := d.check(len(p), off); err != nil {
		return 0, err
	}
	if _, err := d.file.ReadAt(p, off); err != nil {
		return 0, err
	}
	if len(d.held) == 0 {
		return len(p), nil
	}
	return len(p), pieces(p, off, func(number int64, within int, piece []byte) error {
		if data, ok := d.held[number]; ok {
			copy(piece, data[within:])
		}
		return nil
	})
}

// WriteAt writes; durable puts it into the file at once.
func (d *Disk) WriteAt(p []byte, off int64, durable bool) error {
	if err := d.check(len(p), off); err != nil {
		return err
	}
	return pieces(p, off, func(number int64, within int, piece []byte) error {
		data, held := d.held[number]
		if !held {
			if durable || !d.hold() {
				_, err := d.file.WriteAt(piece, number*block+int64(within))
				return err
			}
			data = make([]byte, block)
			if len(piece) < block {
				if _, err := d.file.ReadAt(data, number*block); err != nil {
					return err
				}
			}
			d.held[number] = data
		}
		copy(data[within:], piece)
		if durable {
			return d.release(number)
		}
		return nil
	})
}

// pieces calls f with the parts of p that lie in one block each.
func pieces(p []byte, off int64, f func(number int64, within int, piece []byte) error) error {
	for len(p) > 0 {
		within := int(off % block)
		n := min(block-within, len(p))
		if err := f(off/block, within, p[:n]); err != nil {
			return err
		}
		p, off = p[n:], off+int64(n)
	}
	return nil
}

func (d *Disk) release(number int64) error {
	if _, err := d.file.WriteAt(d.held[number], number*block); err != nil {
		return err
	}
	delete(d.held, number)
	return nil
}

// Flush writes everything that is held to the file. The host's own power does not fail, so the file
// is not synced.
func (d *Disk) Flush() error {
	for number := range d.held {
		if err := d.release(number); err != nil {
			return err
		}
	}
	return nil
}
