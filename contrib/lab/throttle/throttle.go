// SPDX-License-Identifier: Apache-2.0

// Package throttle is a TCP proxy that passes bytes slowly, or stops passing them, so that pulls
// can be slow or stall.
package throttle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Options of a proxy.
type Options struct {
	Listen, To string // host:port
	// Rate is in bytes per second from To to all clients together; zero is no limit.
	Rate int
	// StallAfter is how many bytes reach clients before the proxy passes no more, and keeps
	// connections open; zero is never.
	StallAfter int64
}

// Serve listens until ctx ends.
func Serve(ctx context.Context, opt Options) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", opt.Listen)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { l.Close() })()
	p := &proxy{opt: opt, next: time.Now()}
	var all sync.WaitGroup
	defer all.Wait()
	for {
		client, err := l.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		all.Go(func() {
			if err := p.pass(ctx, client); err != nil && ctx.Err() == nil {
				fmt.Println("throttle:", err)
			}
		})
	}
}

type proxy struct {
	opt Options

	mu     sync.Mutex
	next   time.Time // when the next byte may pass
	passed int64
}

func (p *proxy) pass(ctx context.Context, client net.Conn) error {
	defer client.Close()
	server, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.opt.To)
	if err != nil {
		return err
	}
	defer server.Close()
	// A side that hangs up ends both directions.
	ctx, cancel := context.WithCancel(ctx)
	defer context.AfterFunc(ctx, func() { client.Close(); server.Close() })()
	defer cancel()
	var up sync.WaitGroup
	defer up.Wait()
	up.Go(func() {
		_, _ = io.Copy(server, client) // either side may hang up
		cancel()
	})
	defer cancel()
	size := 32 << 10
	if p.opt.Rate > 0 {
		size = max(1, min(size, p.opt.Rate/20)) // twenty pieces a second look like a flow
	}
	buf := make([]byte, size)
	for {
		n, err := server.Read(buf)
		if n > 0 {
			if err := p.wait(ctx, n); err != nil {
				return nil
			}
			if _, err := client.Write(buf[:n]); err != nil {
				return nil
			}
		}
		if errors.Is(err, io.EOF) || ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// wait until n more bytes may pass, which is never after a stall.
func (p *proxy) wait(ctx context.Context, n int) error {
	p.mu.Lock()
	stall := p.opt.StallAfter > 0 && p.passed+int64(n) > p.opt.StallAfter
	p.passed += int64(n)
	now := time.Now()
	if p.next.Before(now) {
		p.next = now
	}
	until := p.next
	if p.opt.Rate > 0 {
		p.next = p.next.Add(time.Duration(n) * time.Second / time.Duration(p.opt.Rate))
	}
	p.mu.Unlock()
	if stall {
		<-ctx.Done()
		return ctx.Err()
	}
	select {
	case <-time.After(time.Until(until)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
