// SPDX-License-Identifier: Apache-2.0

package netavark

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.podman.io/common/libnetwork/types"
)

// asPesto is the variable that makes this test's program a pesto.
const asPesto = "PODUNIT_TEST_PESTO"

// TestMain makes a pesto of the program where it is called as one: it gives its words to the
// pasta at the socket, and ends as that says.
func TestMain(m *testing.M) {
	if os.Getenv(asPesto) == "" {
		os.Exit(m.Run())
	}
	words := os.Args[1:]
	conn, err := net.Dial("unix", words[len(words)-1])
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Fprintln(conn, strings.Join(words[:len(words)-1], " "))
	answer, _ := io.ReadAll(conn)
	fmt.Print(string(answer))
	if len(answer) > 0 {
		os.Exit(1)
	}
}

// pasta is one that pesto can tell where to listen: as the real one it answers before it listens,
// listens on nothing else because of a port that is taken, and says nothing of that.
type pasta struct {
	socket string
	pesto  string

	sync.Mutex
	rules map[string]net.Listener // nil where the port was taken
	said  []string
	mute  string // what it is told with this word in it gets no answer
	open  []net.Conn
}

func newPasta(t *testing.T) *pasta {
	t.Helper()
	dir := t.TempDir()
	p := &pasta{socket: filepath.Join(dir, "sock"), pesto: filepath.Join(dir, "pesto"), rules: map[string]net.Listener{}}
	if err := os.WriteFile(p.pesto, []byte("#!/bin/sh\n"+asPesto+"=1 exec "+os.Args[0]+" \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", p.socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = l.Close()
		p.Lock()
		defer p.Unlock()
		for _, l := range p.rules {
			if l != nil {
				_ = l.Close()
			}
		}
	})
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			p.serve(conn)
		}
	}()
	return p
}

func (p *pasta) serve(conn net.Conn) {
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		_ = conn.Close()
		return
	}
	p.Lock()
	defer p.Unlock()
	words := strings.Fields(line)
	if len(words) > 0 { // who is only waited for is shown the configuration, see tell
		p.said = append(p.said, strings.Join(words, " "))
	}
	if p.mute != "" && slices.Contains(words, p.mute) {
		p.open = append(p.open, conn) // nobody hangs up
		return
	}
	var rules []string
	for i := 2; i < len(words); i += 2 {
		_, there := p.rules[words[i]]
		conflict := slices.ContainsFunc(slices.Collect(maps.Keys(p.rules)), func(r string) bool { return at(r) == at(words[i]) })
		if words[0] == "-A" && conflict || words[0] == "-D" && !there {
			fmt.Fprintf(conn, "Unable to %s rule %s\n", words[0], words[i])
			_ = conn.Close()
			return
		}
		rules = append(rules, words[i])
	}
	_ = conn.Close()
	for _, r := range rules {
		if words[0] == "-D" {
			if l := p.rules[r]; l != nil {
				_ = l.Close()
			}
			delete(p.rules, r)
			continue
		}
		l, _ := net.Listen("tcp", at(r))
		p.rules[r] = l
	}
}

// listen has pasta listen for somebody else than the connection.
func (p *pasta) listen(t *testing.T, c *Connection, port uint16) {
	t.Helper()
	other := rule{Listen: loopback(port), Target: netip.MustParseAddrPort("10.89.0.77:80"), Range: 1}
	h, _ := ReadShared(c.Shared)
	if err := c.Forward.tell(t.Context(), h.Control, "-A", []rule{other}, func() bool { return listens(port) }); err != nil || !listens(port) {
		t.Fatal(err)
	}
}

// told notes another connection, for which pasta was told of the port.
func told(t *testing.T, c *Connection, port uint16) {
	t.Helper()
	other := *c
	other.ID, other.Name, other.Forward = "other", "other", &Forward{Told: []rule{{Listen: loopback(port), Range: 1}}}
	if err := other.note(t.TempDir()); err != nil {
		t.Fatal(err)
	}
}

func loopback(port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)
}

// at is where a rule has pasta listen.
func at(rule string) string {
	address, rest, _ := strings.Cut(rule, "/")
	port, _, _ := strings.Cut(rest, ":")
	return address + ":" + port
}

// heard returns what pasta was told since it was asked last, and forgets it.
func (p *pasta) heard() string {
	p.Lock()
	defer p.Unlock()
	said := strings.Join(p.said, "; ")
	p.said = nil
	return said
}

// kept are the rules that pasta has, once it has done what it was told.
func (p *pasta) kept() []string {
	p.Lock()
	defer p.Unlock()
	return slices.Sorted(maps.Keys(p.rules))
}

// forwarded is a connection of a user whose networks have this pasta, and its runtime directory. It
// publishes a free port of 127.0.0.1, which leads to port 80.
func forwarded(t *testing.T, p *pasta) (c *Connection, dir string, port uint16) {
	t.Helper()
	s := newStore(t, version114)
	if _, err := s.Create(t.Context(), New{Name: "a"}); err != nil {
		t.Fatal(err)
	}
	shared := filepath.Join(t.TempDir(), "netns")
	if err := os.Mkdir(shared, 0o700); err != nil {
		t.Fatal(err)
	}
	held(t, shared)
	h, _ := ReadShared(shared)
	h.Pasta, h.Control = os.Getpid(), p.socket
	if err := h.Save(shared); err != nil {
		t.Fatal(err)
	}
	c, err := s.Prepare(Connection{ID: "one", Name: "one", Shared: shared, Routed: true, Networks: []Endpoint{{Name: "a"}}})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port = uint16(l.Addr().(*net.TCPAddr).Port)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	c.SetForward(&Forward{Pesto: p.pesto, Ports: []types.PortMapping{{HostIP: "127.0.0.1", HostPort: port, ContainerPort: 80, Range: 1, Protocol: "tcp"}}})
	if c.Forward == nil || c.Routed {
		t.Fatalf("%+v", c)
	}
	c.Networks[0].StaticIPs = []net.IP{net.ParseIP("fd00::9"), net.IPv4(10, 89, 0, 9)}
	return c, t.TempDir(), port
}

func listens(port uint16) bool {
	conn, err := net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
	if err == nil {
		_ = conn.Close()
	}
	return err == nil
}

// TestForward has pasta listen for a container, again, and no longer, each time noted beforehand.
func TestForward(t *testing.T) {
	p := newPasta(t)
	c, dir, port := forwarded(t, p)
	rule := fmt.Sprintf("-t 127.0.0.1/%d:10.89.0.9/80", port)
	if err := c.forward(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	if got, want := p.heard(), "-A "+rule; got != want || !listens(port) {
		t.Errorf("%q, want %q", got, want)
	}
	again, err := Read(dir)
	if err != nil || len(again.Forward.Told) != 1 {
		t.Fatalf("what is noted: %+v, %v", again, err)
	}
	again.Networks[0].StaticIPs = []net.IP{net.IPv4(10, 89, 0, 10)} // it has another address now
	if err := again.forward(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	if got, want := p.heard(), "-D "+rule+"; -A "+strings.Replace(rule, "0.9/", "0.10/", 1); got != want || !listens(port) {
		t.Errorf("%q, want %q", got, want)
	}
	if err := os.MkdirAll(c.Records, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Disconnect(dir); err != nil {
		t.Fatal(err)
	}
	if left, err := Read(dir); left != nil || err != nil || listens(port) || len(p.kept()) > 0 {
		t.Errorf("left: %+v, %v, %v", left, err, p.kept())
	}
}

// TestForwardElsewhere: a port that the one pasta cannot have is for a pasta of the container's own,
// unless the container runs: then it is an error. Either way pasta keeps nothing.
func TestForwardElsewhere(t *testing.T) {
	taken := func(t *testing.T, _ *pasta, _ *Connection, port uint16) {
		l, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			t.Fatal(err)
		}
		f, err := l.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		other := exec.Command("sleep", "1000")
		other.ExtraFiles = []*os.File{f}
		if err := errors.Join(other.Start(), f.Close(), l.Close()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = other.Process.Kill(); _ = other.Wait() })
	}
	for name, spoil := range map[string]func(t *testing.T, p *pasta, c *Connection, port uint16){
		"another program has it": taken,
		"a rule of another container": func(t *testing.T, p *pasta, c *Connection, port uint16) {
			p.listen(t, c, port)
			told(t, c, port)
		},
		"another container was told, and pasta does not listen yet": func(t *testing.T, _ *pasta, c *Connection, port uint16) { told(t, c, port) },
		"pasta listens by its options":                              func(t *testing.T, p *pasta, c *Connection, port uint16) { p.listen(t, c, port) },
		"a pasta that takes no orders": func(t *testing.T, _ *pasta, c *Connection, _ uint16) {
			h, _ := ReadShared(c.Shared)
			h.Control = ""
			if err := h.Save(c.Shared); err != nil {
				t.Fatal(err)
			}
		},
		"no pesto": func(_ *testing.T, _ *pasta, c *Connection, _ uint16) { c.Forward.Pesto += ".gone" },
		"no address of the family": func(_ *testing.T, _ *pasta, c *Connection, _ uint16) {
			c.Networks[0].StaticIPs = c.Networks[0].StaticIPs[:1]
		},
	} {
		for _, runs := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, runs %v", name, runs), func(t *testing.T) {
				p := newPasta(t)
				c, dir, port := forwarded(t, p)
				spoil(t, p, c, port)
				c.read = runs
				before := p.kept()
				err := c.forward(t.Context(), dir)
				if (err != nil) != runs || c.Routed == runs || (c.Forward == nil) == runs {
					t.Errorf("%v; %+v", err, c)
				}
				if after := p.kept(); !slices.Equal(after, before) {
					t.Errorf("pasta keeps %v", after)
				}
			})
		}
	}
}

// TestForwardUnanswered: what pasta was told before our time was up is taken back all the same.
func TestForwardUnanswered(t *testing.T) {
	p := newPasta(t)
	p.mute = "-A"
	c, dir, port := forwarded(t, p)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := c.forward(ctx, dir); err != nil || !c.Routed {
		t.Errorf("%v; %+v", err, c)
	}
	rule := fmt.Sprintf("-t 127.0.0.1/%d:10.89.0.9/80", port)
	if got, want := p.heard(), "-D "+rule+"; -D "+rule; got != want && got != "-A "+rule+"; "+want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestForwardThatStays: while pasta cannot be told to let go of a port, the connection stays noted,
// and its addresses its own.
func TestForwardThatStays(t *testing.T) {
	p := newPasta(t)
	c, dir, port := forwarded(t, p)
	if err := errors.Join(c.note(dir), c.forward(t.Context(), dir)); err != nil {
		t.Fatal(err)
	}
	told(t, c, port+1)
	if err := os.Rename(p.pesto, p.pesto+".gone"); err != nil {
		t.Fatal(err)
	}
	if err := Disconnect(dir); err == nil || !strings.Contains(err.Error(), "keeps published ports") {
		t.Errorf("%v", err)
	}
	if left, err := Read(dir); err != nil || left == nil || len(left.Forward.Told) != 1 || !listens(port) {
		t.Errorf("%+v, %v", left, err)
	}
	if _, err := os.Lstat(c.link()); err != nil {
		t.Error(err)
	}
	if err := os.Rename(p.pesto+".gone", p.pesto); err != nil {
		t.Fatal(err)
	}
	if err := Disconnect(dir); err != nil || listens(port) {
		t.Errorf("once it can: %v", err)
	}
}

// TestForwardOfTheLast: pesto is gone, and whoever leaves last leaves all the same, as pasta ends.
func TestForwardOfTheLast(t *testing.T) {
	p := newPasta(t)
	c, dir, _ := forwarded(t, p)
	if err := errors.Join(c.note(dir), c.forward(t.Context(), dir), os.Rename(p.pesto, p.pesto+".gone")); err != nil {
		t.Fatal(err)
	}
	if err := Disconnect(dir); err != nil {
		t.Error(err)
	}
	left, err := Read(dir)
	if _, alive := ReadShared(c.Shared); left != nil || err != nil || alive {
		t.Errorf("left: %+v, %v; the namespace is there: %v", left, err, alive)
	}
}

// TestForwardMoves: who leaves the network to which its ports lead has them on another, or stays.
func TestForwardMoves(t *testing.T) {
	for name, other := range map[string]struct {
		network New
		ip      net.IP
		moves   bool
	}{
		"to a network":           {New{Name: "b"}, net.IPv4(10, 90, 0, 9), true},
		"not to an internal one": {New{Name: "b", Internal: true}, net.IPv4(10, 90, 0, 9), false},
		"not without its family": {New{Name: "b"}, net.ParseIP("fd00::9"), false},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPasta(t)
			c, dir, port := forwarded(t, p)
			s := newStore(t, version114)
			n, err := s.Create(t.Context(), other.network)
			if err = errors.Join(err, c.forward(t.Context(), dir)); err != nil {
				t.Fatal(err)
			}
			c.Networks = append(c.Networks, Endpoint{Name: "b", PerNetworkOptions: types.PerNetworkOptions{StaticIPs: []net.IP{other.ip}}})
			c.Info["b"] = &n
			want := fmt.Sprintf("127.0.0.1/%d:10.89.0.9/80", port)
			if other.moves {
				want = strings.Replace(want, "10.89", "10.90", 1)
			}
			if err := c.moveForward(t.Context(), dir); (err == nil) != other.moves {
				t.Error(err)
			}
			noted, err := Read(dir)
			if err != nil || !slices.Equal(p.kept(), []string{want}) || !listens(port) || fmt.Sprint(noted.Forward.Told) != "["+want+"]" || (noted.Forward.Network == "b") != other.moves {
				t.Errorf("pasta has %v; noted: %+v, %v", p.kept(), noted.Forward, err)
			}
		})
	}
}

// TestForwardIgnored: pasta obeys, it says, and goes on listening.
func TestForwardIgnored(t *testing.T) {
	p := newPasta(t)
	c, dir, port := forwarded(t, p)
	if err := c.forward(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	p.Lock()
	for rule, l := range p.rules {
		p.rules[rule] = nil
		t.Cleanup(func() { _ = l.Close() })
	}
	p.Unlock()
	want := fmt.Sprintf("keeps published ports, as 127.0.0.1:%d: it was told to let go of them", port)
	if err := c.unforward(); err == nil || !strings.Contains(err.Error(), want) || len(c.Forward.Told) != 1 {
		t.Errorf("%v; %+v", err, c.Forward)
	}
}

// TestForwardWithoutPorts: a container that runs gets its links although pasta does not listen for
// it.
func TestForwardWithoutPorts(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, for network namespaces")
	}
	p := newPasta(t)
	c, dir, _ := forwarded(t, p)
	calls := filepath.Join(dir, "calls")
	if err := os.WriteFile(c.Netavark, []byte("#!/bin/sh\n[ \"$1\" = --version ] || echo setup >>"+calls+"; echo '{}'\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	c.Networks[0].StaticIPs = nil
	c.Forward.Pesto += ".gone"
	c.read = true
	err := c.setup(t.Context(), dir, inside(t), func(do func() error) error { return do() })
	if called, _ := os.ReadFile(calls); err == nil || string(called) != "setup\n" || c.Answer == nil {
		t.Errorf("%v; netavark: %q", err, called)
	}
}

// TestRules writes rules as pesto takes them.
func TestRules(t *testing.T) {
	f := Forward{Ports: []types.PortMapping{
		{HostIP: "0.0.0.0", HostPort: 8080, ContainerPort: 80, Protocol: "tcp"},
		{HostIP: "::", HostPort: 65530, ContainerPort: 30, Range: 6, Protocol: "tcp"},
	}}
	rules, err := f.rules([]net.IP{net.ParseIP("10.89.0.9"), net.ParseIP("fd00::9")})
	if err != nil || fmt.Sprint(rules) != "[0.0.0.0/8080:10.89.0.9/80 [::]/65530-65535:[fd00::9]/30-35]" {
		t.Errorf("%v, %v", rules, err)
	}
}

// TestSetForward: there is one way in, and addresses are known before the links are made.
func TestSetForward(t *testing.T) {
	s := newStore(t, version114)
	for _, n := range []New{{Name: "a"}, {Name: "six", IPv6: true}, {Name: "inside", Internal: true}} {
		if _, err := s.Create(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	for names, want := range map[string]bool{"a": true, "six": true, "inside": false, "a six": false} {
		c := Connection{ID: "one", Name: "one", Routed: true}
		for _, name := range strings.Fields(names) {
			c.Networks = append(c.Networks, Endpoint{Name: name})
		}
		p, err := s.Prepare(c)
		if err != nil {
			t.Fatal(err)
		}
		p.SetForward(&Forward{})
		if (p.Forward != nil) != want || p.Routed == want || want && p.Forward.Network != names {
			t.Errorf("on %s: %+v", names, p)
		}
		if four, six := p.Families(); four != true || six != strings.Contains(names, "six") {
			t.Errorf("of %s: IPv4 %v, IPv6 %v", names, four, six)
		}
	}
}
