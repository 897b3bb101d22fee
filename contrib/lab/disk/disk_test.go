// SPDX-License-Identifier: Apache-2.0

package disk

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"testing"
)

func file(t *testing.T, blocks int64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, blocks*block); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestPowerCut writes blocks and flushes now and then. A cut is another look at the file: what was
// flushed and not written again must be there, and of the rest some and not all.
func TestPowerCut(t *testing.T) {
	const blocks = 64
	path := file(t, blocks)
	d, err := Open(path, 7)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	random := rand.New(rand.NewPCG(1, 2))
	now, flushed, dirty := make([]byte, blocks*block), make([]byte, blocks*block), make([]bool, blocks*block)
	lost, kept := 0, 0
	for range 500 {
		if random.IntN(12) == 0 {
			if err := d.Flush(); err != nil {
				t.Fatal(err)
			}
			copy(flushed, now)
			clear(dirty)
		}
		// Some start and end within blocks.
		off := random.IntN(blocks*block - 3*block)
		data := bytes.Repeat([]byte{byte(1 + random.IntN(255))}, 1+random.IntN(3*block))
		durable := random.IntN(10) == 0
		if err := d.WriteAt(data, int64(off), durable); err != nil {
			t.Fatal(err)
		}
		copy(now[off:], data)
		for i := off; i < off+len(data); i++ {
			dirty[i] = !durable
		}
		seen := make([]byte, blocks*block)
		if _, err := d.ReadAt(seen, 0); err != nil || !bytes.Equal(seen, now) {
			t.Fatalf("the machine does not read what it wrote: %v", err)
		}
		after, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for i := range after {
			switch {
			case !dirty[i]:
				if after[i] != now[i] {
					t.Fatalf("byte %d was flushed as %d, and is %d after a power cut", i, now[i], after[i])
				}
			case after[i] == now[i]:
				kept++
			case after[i] == flushed[i]:
				lost++
			}
		}
	}
	if lost == 0 || kept == 0 {
		t.Errorf("of unflushed bytes %d are lost and %d are in the file: both must occur", lost, kept)
	}
}

// TestDurable has every block held back, so that only what is flushed or durable is in the file.
func TestDurable(t *testing.T) {
	path := file(t, 4)
	d, err := Open(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	d.hold = func() bool { return true }
	want := make([]byte, 4*block)
	steps := []struct {
		off     int64
		data    string
		durable bool
		flush   bool
	}{
		{off: 10, data: "lost"},
		{off: block + 10, data: "durable", durable: true},
		{off: 2*block + 10, data: "held"},
		{off: 2*block + 20, data: "made durable with its block", durable: true},
		{off: 3*block + 10, data: "flushed", flush: true},
		{off: 3*block + 10, data: "too late"},
	}
	for _, s := range steps {
		if err := d.WriteAt([]byte(s.data), s.off, s.durable); err != nil {
			t.Fatal(err)
		}
		if s.flush {
			if err := d.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, s := range steps[:5] {
		copy(want[s.off:], s.data)
	}
	after, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(after, want) {
		t.Errorf("after a power cut the file has %q, want %q: %v", bytes.Trim(after, "\x00"), bytes.Trim(want, "\x00"), err)
	}
	if err := d.WriteAt([]byte("xx"), 4*block-1, false); err == nil {
		t.Error("a write beyond the end is no error")
	}
}

// TestServe speaks the protocol as a client does.
func TestServe(t *testing.T) {
	path := file(t, 2)
	d, err := Open(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	d.hold = func() bool { return true }
	client, server := net.Pipe()
	served := make(chan error, 1)
	go func() { served <- d.Serve(server) }()
	send := func(values ...any) {
		t.Helper()
		for _, v := range values {
			if err := binary.Write(client, binary.BigEndian, v); err != nil {
				t.Fatal(err)
			}
		}
	}
	receive := func(n int) []byte {
		t.Helper()
		data := make([]byte, n)
		if _, err := io.ReadFull(client, data); err != nil {
			t.Fatal(err)
		}
		return data
	}
	expect := func(what string, got []byte, want ...any) {
		t.Helper()
		var b bytes.Buffer
		for _, v := range want {
			if err := binary.Write(&b, binary.BigEndian, v); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(got, b.Bytes()) {
			t.Errorf("%s: % x, want % x", what, got, b.Bytes())
		}
	}
	expect("greeting", receive(18), []byte("NBDMAGICIHAVEOPT"), uint16(3))
	send(uint32(3))
	send([]byte("IHAVEOPT"), uint32(8), uint32(0)) // structured replies
	expect("unknown option", receive(20), uint64(magicReply), uint32(8), uint32(replyUnsupported), uint32(0))
	send([]byte("IHAVEOPT"), uint32(optionGo), uint32(6), uint32(0), uint16(0))
	expect("size and features", receive(32), uint64(magicReply), uint32(optionGo), uint32(replyInfo), uint32(12), uint16(0), uint64(2*block), uint16(13))
	expect("go", receive(20), uint64(magicReply), uint32(optionGo), uint32(replyAck), uint32(0))

	request := func(flags, command uint16, handle, offset uint64, length uint32) {
		t.Helper()
		send(uint32(magicRequest), flags, command, handle, offset, length)
	}
	request(0, commandWrite, 1, 100, 5)
	send([]byte("hello"))
	expect("write", receive(16), uint32(magicAnswer), uint32(0), uint64(1))
	request(0, commandRead, 2, 100, 5)
	expect("read", receive(21), uint32(magicAnswer), uint32(0), uint64(2), []byte("hello"))
	if data, err := os.ReadFile(path); err != nil || bytes.Contains(data, []byte("hello")) {
		t.Errorf("in the file before a flush: %v", err)
	}
	request(0, commandFlush, 3, 0, 0)
	expect("flush", receive(16), uint32(magicAnswer), uint32(0), uint64(3))
	request(flagFUA, commandWrite, 4, block, 4)
	send([]byte("away"))
	expect("durable write", receive(16), uint32(magicAnswer), uint32(0), uint64(4))
	if data, err := os.ReadFile(path); err != nil || !bytes.Contains(data, []byte("hello")) || !bytes.Contains(data, []byte("away")) {
		t.Errorf("not in the file after a flush: %v", err)
	}
	request(0, commandRead, 5, 2*block, 1)
	expect("beyond the end", receive(16), uint32(magicAnswer), uint32(5), uint64(5))
	request(0, commandEnd, 6, 0, 0)
	if err := <-served; err != nil {
		t.Error(err)
	}
}
