// SPDX-License-Identifier: Apache-2.0

package disk

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"syscall"
)

// Numbers of the protocol.
const (
	magicServer  = 0x4e42444d41474943 // "NBDMAGIC"
	magicOption  = 0x49484156454f5054 // "IHAVEOPT"
	magicReply   = 0x3e889045565a9
	magicRequest = 0x25609513
	magicAnswer  = 0x67446698

	fixedNewstyle = 1
	noZeroes      = 2

	optionExportName = 1
	optionAbort      = 2
	optionInfo       = 6
	optionGo         = 7

	replyAck         = 1
	replyInfo        = 3
	replyUnsupported = 1<<31 + 1

	hasFlags  = 1
	sendFlush = 4
	sendFUA   = 8

	commandRead  = 0
	commandWrite = 1
	commandEnd   = 2
	commandFlush = 3
	flagFUA      = 1

	// longest is the longest request that is served, in bytes: what the specification promises to
	// every client.
	longest = 32 << 20
)

// Serve speaks with one client until it goes.
func (d *Disk) Serve(conn io.ReadWriter) error {
	r, w := bufio.NewReaderSize(conn, 1<<16), bufio.NewWriterSize(conn, 1<<16)
	on, err := d.negotiate(r, w)
	if err != nil || !on {
		return err
	}
	for {
		// An answer leaves when the client has nothing more to ask.
		if r.Buffered() == 0 {
			if err := w.Flush(); err != nil {
				return err
			}
		}
		end, err := d.answer(r, w)
		if errors.Is(err, io.EOF) || end {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// negotiate settles with the client what is served; false is a client that wanted to know only.
func (d *Disk) negotiate(r io.Reader, w *bufio.Writer) (bool, error) {
	if err := write(w, uint64(magicServer), uint64(magicOption), uint16(fixedNewstyle|noZeroes)); err != nil {
		return false, err
	}
	var flags uint32
	if err := binary.Read(r, binary.BigEndian, &flags); err != nil {
		return false, err
	}
	features := uint16(hasFlags | sendFlush | sendFUA)
	for {
		var option struct {
			Magic          uint64
			Option, Length uint32
		}
		if err := binary.Read(r, binary.BigEndian, &option); err != nil {
			return false, err
		}
		if option.Magic != magicOption || option.Length > 1<<16 {
			return false, fmt.Errorf("not an option of a client: %+v", option)
		}
		if _, err := io.CopyN(io.Discard, r, int64(option.Length)); err != nil {
			return false, err
		}
		reply := func(kind uint32) error { return write(w, uint64(magicReply), option.Option, kind, uint32(0)) }
		switch option.Option {
		case optionExportName:
			err := write(w, uint64(d.size), features)
			if err == nil && flags&noZeroes == 0 {
				err = write(w, [124]byte{})
			}
			return true, err
		case optionInfo, optionGo:
			// The information with number 0: the size of the export in bytes, and what the server
			// can do.
			info := struct {
				Kind  uint16
				Size  uint64
				Flags uint16
			}{0, uint64(d.size), features}
			if err := write(w, uint64(magicReply), option.Option, uint32(replyInfo), uint32(binary.Size(info)), info); err != nil {
				return false, err
			}
			if err := reply(replyAck); err != nil || option.Option == optionGo {
				return true, err
			}
		case optionAbort:
			return false, reply(replyAck)
		default:
			if err := reply(replyUnsupported); err != nil {
				return false, err
			}
		}
	}
}

// write sends numbers in the order of the network, at once.
func write(w *bufio.Writer, values ...any) error {
	for _, v := range values {
		if err := binary.Write(w, binary.BigEndian, v); err != nil {
			return err
		}
	}
	return w.Flush()
}

// answer serves one request; end tells that the client takes its leave.
func (d *Disk) answer(r io.Reader, w *bufio.Writer) (end bool, err error) {
	var head [28]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return false, err
	}
	flags, command := binary.BigEndian.Uint16(head[4:]), binary.BigEndian.Uint16(head[6:])
	offset, length := int64(binary.BigEndian.Uint64(head[16:])), binary.BigEndian.Uint32(head[24:])
	if binary.BigEndian.Uint32(head[:]) != magicRequest || length > longest {
		return false, fmt.Errorf("not a request of a client: % x", head)
	}
	var data []byte
	var status syscall.Errno
	switch command {
	case commandRead:
		data = make([]byte, length)
		if _, err := d.ReadAt(data, offset); err != nil {
			data, status = nil, syscall.EIO
		}
	case commandWrite:
		written := make([]byte, length)
		if _, err := io.ReadFull(r, written); err != nil {
			return false, err
		}
		if d.WriteAt(written, offset, flags&flagFUA != 0) != nil {
			status = syscall.EIO
		}
	case commandFlush:
		if d.Flush() != nil {
			status = syscall.EIO
		}
	case commandEnd:
		return true, nil
	default:
		status = syscall.EINVAL
	}
	var answer [16]byte
	binary.BigEndian.PutUint32(answer[:], magicAnswer)
	binary.BigEndian.PutUint32(answer[4:], uint32(status))
	copy(answer[8:], head[8:16])
	if _, err := w.Write(answer[:]); err != nil {
		return false, err
	}
	_, err = w.Write(data)
	return false, err
}

// Socket is the name of the socket that Run makes in the working directory.
const Socket = "disk.sock"

// Run serves the disk on Socket to a command that it executes, until the command ends.
func (d *Disk) Run(args []string) error {
	if err := os.Remove(Socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	l, err := net.Listen("unix", Socket)
	if err != nil {
		return err
	}
	defer l.Close()
	served := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			err = errors.Join(d.Serve(conn), conn.Close())
		}
		served <- err
	}()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	err = cmd.Run()
	l.Close()
	return errors.Join(err, <-served)
}
