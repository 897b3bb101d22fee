// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// frame is what host and agent say to each other once the command is sent: a piece of standard
// input, output or error, or the end of one. The last one of the agent is the end of the command.
type frame struct {
	Stream stream
	Data   []byte
	End    bool
	Code   int    // with ended
	Err    string // with ended: why the command could not be run
}

type stream int

const (
	stdin stream = iota
	stdout
	stderr
	ended
)

// remote is Run for a virtual machine: its agent runs the command.
func (m *Machine) remote(ctx context.Context, c Command) (Result, error) {
	if !m.Running() {
		return Result{}, m.notRunning()
	}
	if c.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.Timeout)
		defer cancel()
	}
	conn, err := m.dial(ctx)
	if err != nil {
		return Result{}, fmt.Errorf("lab %s: %w", m.Name, err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	defer m.closeWithPower(conn)()
	env := c.Env
	if term := os.Getenv("TERM"); term != "" {
		env = append([]string{"TERM=" + term}, env...)
	}
	enc := gob.NewEncoder(conn)
	if err := enc.Encode(Command{User: c.User, Args: c.Args, Dir: c.Dir, Env: env, Terminal: c.Terminal}); err != nil {
		return Result{}, fmt.Errorf("lab %s: %w", m.Name, err)
	}
	go func() {
		// The agent may end first, and then does not read on.
		in := c.Stdin
		if in == nil {
			in = strings.NewReader("")
		}
		w := &framer{enc: enc, stream: stdin, mu: new(sync.Mutex)}
		if _, err := io.Copy(w, in); err == nil {
			_ = enc.Encode(frame{Stream: stdin, End: true})
		}
	}()
	var out, errs strings.Builder
	sinks := map[stream]io.Writer{stdout: &out, stderr: &errs}
	if c.Stdout != nil {
		sinks[stdout] = c.Stdout
	}
	if c.Stderr != nil {
		sinks[stderr] = c.Stderr
	}
	for dec := gob.NewDecoder(conn); ; {
		var f frame
		err := dec.Decode(&f)
		res := Result{Stdout: out.String(), Stderr: errs.String(), Code: f.Code}
		switch {
		case ctx.Err() != nil:
			return res, fmt.Errorf("%s in lab %s: %w", strings.Join(c.Args, " "), m.Name, ctx.Err())
		case err != nil:
			return res, fmt.Errorf("%s in lab %s: its power failed or its agent ended: %w", strings.Join(c.Args, " "), m.Name, err)
		case f.Err != "":
			return res, errors.New(f.Err)
		case f.Stream == ended:
			return res, nil
		}
		if _, err := sinks[f.Stream].Write(f.Data); err != nil {
			return res, err
		}
	}
}

// closeWithPower closes a connection when the machine has no power any more: nobody is left to say
// so on the wire.
func (m *Machine) closeWithPower(conn net.Conn) (stop func()) {
	done := make(chan struct{})
	go func() {
		for m.Running() {
			select {
			case <-done:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
		conn.Close()
	}()
	return func() { close(done) }
}

// framer sends what is written to it as frames of one stream.
type framer struct {
	enc    *gob.Encoder
	stream stream
	mu     *sync.Mutex
}

func (f *framer) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(p), f.enc.Encode(frame{Stream: f.stream, Data: p})
}

// ServeAgent runs commands for the host, inside a virtual machine as root, on the machine's own
// address only.
func ServeAgent(ctx context.Context) error {
	network, err := os.ReadFile("/etc/podunit-lab/network")
	if err != nil {
		return err
	}
	var address, peer string
	for line := range strings.Lines(string(network)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "ADDRESS="); ok {
			address, _, _ = strings.Cut(value, "/")
		}
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "PEER="); ok {
			peer = value
		}
	}
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", net.JoinHostPort(address, strconv.Itoa(agentPort)))
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { l.Close() })()
	m := &Machine{Name: host, inside: true}
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if from, _, err := net.SplitHostPort(conn.RemoteAddr().String()); err != nil || from != peer {
			conn.Close() // nobody but the host gives orders here
			continue
		}
		go m.serve(ctx, conn)
	}
}

// serve runs the one command of a connection, and kills it when the host hangs up.
func (m *Machine) serve(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var c Command
	dec, enc := gob.NewDecoder(conn), gob.NewEncoder(conn)
	if dec.Decode(&c) != nil {
		return // who only looked whether somebody listens
	}
	in, feed := io.Pipe()
	go func() {
		for {
			var f frame
			if err := dec.Decode(&f); err != nil {
				feed.CloseWithError(err)
				cancel()
				return
			}
			if f.End {
				feed.Close()
			} else if _, err := feed.Write(f.Data); err != nil {
				continue // the command has closed its standard input
			}
		}
	}()
	var mu sync.Mutex
	c.Stdin = in
	c.Stdout, c.Stderr = &framer{enc, stdout, &mu}, &framer{enc, stderr, &mu}
	res, err := m.Run(ctx, c)
	in.Close()
	end := frame{Stream: ended, Code: res.Code}
	if err != nil {
		end.Err = err.Error()
	}
	mu.Lock()
	defer mu.Unlock()
	_ = enc.Encode(end) // the host may be gone
}
