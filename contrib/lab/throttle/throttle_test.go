// SPDX-License-Identifier: Apache-2.0

package throttle

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// serve starts a server that sends data to whoever connects, and a proxy before it; it returns the proxy's address.
func serve(t *testing.T, data []byte, opt Options) string {
	t.Helper()
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	go func() {
		for {
			c, err := server.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write(data)
			c.Close()
		}
	}()
	// A port that was free a moment ago.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	opt.Listen, opt.To = l.Addr().String(), server.Addr().String()
	l.Close()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- Serve(ctx, opt) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return opt.Listen
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	for range 6000 {
		if c, err := net.Dial("tcp", addr); err == nil {
			t.Cleanup(func() { c.Close() })
			return c
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%s does not answer", addr)
	return nil
}

func TestRate(t *testing.T) {
	data := bytes.Repeat([]byte("x"), 50_000)
	addr := serve(t, data, Options{Rate: 100_000})
	start := time.Now()
	got, err := io.ReadAll(dial(t, addr))
	if err != nil || !bytes.Equal(got, data) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	if took := time.Since(start); took < 300*time.Millisecond || took > time.Minute {
		t.Errorf("50 kB at 100 kB/s took %v", took)
	}
}

func TestNoRate(t *testing.T) {
	data := bytes.Repeat([]byte("x"), 1<<20)
	got, err := io.ReadAll(dial(t, serve(t, data, Options{})))
	if err != nil || !bytes.Equal(got, data) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
}

func TestStall(t *testing.T) {
	data := bytes.Repeat([]byte("x"), 1<<20)
	c := dial(t, serve(t, data, Options{StallAfter: 100_000}))
	if err := c.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if len(got) > 100_000 {
		t.Errorf("%d bytes passed", len(got))
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection ended: %v", err)
	}
}
