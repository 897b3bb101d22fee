// SPDX-License-Identifier: Apache-2.0

package netavark

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/podunit/podunit/runner/process"
	"go.podman.io/common/libnetwork/types"
	"golang.org/x/sys/unix"
)

// version is that of netavark, as far as it matters.
type version struct{ major, minor int }

func (v version) String() string { return fmt.Sprintf("%d.%d", v.major, v.minor) }

func (v version) less(o version) bool {
	return v.major < o.major || v.major == o.major && v.minor < o.minor
}

// MissingError says that a program is not installed.
type MissingError struct {
	Program string
	Err     error
}

func (e MissingError) Error() string {
	return fmt.Sprintf("named networks need %s: %v", e.Program, e.Err)
}
func (e MissingError) Unwrap() error { return e.Err }

// Hint is the way out.
func (e MissingError) Hint() string { return "apt install " + e.Program }

// Program finds netavark or aardvark-dns.
func (s *Store) Program(name string) (string, error) {
	path, err := s.Config.FindHelperBinary(name, true)
	if err != nil {
		return "", MissingError{Program: name, Err: err}
	}
	return path, nil
}

// dhcpSocket is where netavark reaches its DHCP client, which it starts for nobody: systemd does,
// by the socket. Source: netavark-dhcp-proxy.socket, which Debian's package has and does not
// enable.
const dhcpSocket = "/run/podman/nv-proxy.sock"

// NoDHCPError says that nobody asks for an address by DHCP.
type NoDHCPError struct{ Socket string }

func (e NoDHCPError) Error() string {
	return fmt.Sprintf("ipam driver dhcp needs netavark's DHCP client, and nobody listens at %s", e.Socket)
}

// Hint is the way out.
func (e NoDHCPError) Hint() string {
	return "as root: systemctl enable --now netavark-dhcp-proxy.socket; or give the network a --subnet"
}

// served checks that what a network needs besides netavark runs.
func (s *Store) served(n types.Network) error {
	if n.IPAMOptions[types.Driver] != types.DHCPIPAMDriver {
		return nil
	}
	socket := cmp.Or(s.DHCP, dhcpSocket)
	if st, err := os.Stat(socket); err != nil || st.Mode().Type() != fs.ModeSocket {
		return NoDHCPError{socket}
	}
	return nil
}

// version asks netavark for its version, once for all networks of a start.
func (s *Store) version() (version, error) {
	s.asked.Do(func() { s.installed, s.askErr = s.askVersion() })
	return s.installed, s.askErr
}

func (s *Store) askVersion() (version, error) {
	path, err := s.Program("netavark")
	if err != nil {
		return version{}, err
	}
	return askVersion(path)
}

func askVersion(path string) (version, error) {
	out, err := exec.Command(path, "--version").Output()
	if err != nil {
		return version{}, fmt.Errorf("%s --version: %w", path, err)
	}
	return parseVersion(string(out))
}

// parseVersion reads "netavark 1.14.0".
func parseVersion(s string) (version, error) {
	words := strings.Fields(s)
	if len(words) >= 2 {
		parts := strings.Split(words[1], ".")
		if len(parts) >= 2 {
			major, err1 := strconv.Atoi(parts[0])
			minor, err2 := strconv.Atoi(strings.TrimRight(parts[1], "-devrc"))
			if err1 == nil && err2 == nil {
				return version{major, minor}, nil
			}
		}
	}
	return version{}, fmt.Errorf("netavark says that its version is %q", s)
}

// Error is what netavark said.
type Error struct {
	Verb string // setup, teardown or update
	Said string
	Err  error
}

func (e Error) Error() string {
	if e.Said == "" {
		return fmt.Sprintf("netavark %s: %v", e.Verb, e.Err)
	}
	return fmt.Sprintf("netavark %s: %s", e.Verb, e.Said)
}
func (e Error) Unwrap() error { return e.Err }

// Hint is the way out, empty if none is known.
func (e Error) Hint() string {
	switch {
	case strings.Contains(e.Said, "nftables") || strings.Contains(e.Said, "nft"):
		return "apt install nftables; and the kernel needs its module: modprobe nf_tables as root, with a line nf_tables in /etc/modules-load.d/podunit.conf"
	case strings.Contains(e.Said, "iptables"):
		return "apt install iptables; and the kernel needs its modules: modprobe ip_tables as root"
	case strings.Contains(e.Said, "Operation not supported"):
		return "the kernel lacks what the network is made of: modprobe macvlan, ipvlan or vrf as root; or it was built without, as without CONFIG_BRIDGE_VLAN_FILTERING for the VLAN of a bridge"
	}
	return ""
}

// request is what netavark reads. networks is a map: versions before 2.0 know no other form.
type request struct {
	ContainerID   string                             `json:"container_id"`
	ContainerName string                             `json:"container_name"`
	Hostname      string                             `json:"container_hostname,omitempty"`
	Ports         []types.PortMapping                `json:"port_mappings,omitempty"`
	Networks      map[string]types.PerNetworkOptions `json:"networks"`
	Info          map[string]*types.Network          `json:"network_info"`
	DNS           []string                           `json:"dns_servers,omitempty"`
}

// programPath is where netavark finds nft and iptables. systemd-run is elsewhere, so that
// netavark does not put the name server into a scope of its own.
const programPath = "/usr/local/sbin:/usr/sbin:/sbin"

// noServer is what netavark starts in place of aardvark-dns. podunit starts that: root's is the
// main process of a unit, a user's is a child of the process that holds the network namespace.
const noServer = "/bin/true"

// call runs netavark for the container's network namespace ns. within runs the start of the program
// on the side of the host.
func (c *Connection) call(ctx context.Context, verb string, r request, ns *os.File, within func(func() error) error) ([]byte, error) {
	in, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	if verb == "teardown" {
		if err := c.forgetRules(r.Info); err != nil {
			return nil, err
		}
	}
	cmd := c.command(ctx, verb, nsPath(r, ns))
	cmd.ExtraFiles = []*os.File{ns}
	cmd.Stdin = bytes.NewReader(in)
	return output(ctx, cmd, verb, within)
}

// nsPath is the container's network namespace as netavark finds it: the file that it inherits. Its
// DHCP client is another process, which opens the path by itself; ours has it open as long as that
// takes. What the client would do there later is to set another address if the server gives one,
// which it then cannot.
func nsPath(r request, ns *os.File) string {
	for _, n := range r.Info {
		if n.IPAMOptions[types.Driver] == types.DHCPIPAMDriver {
			return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), ns.Fd())
		}
	}
	return "/proc/self/fd/3"
}

// update has netavark tell aardvark-dns whom it is to ask for a network, which some container is on.
func (c *Connection) update(ctx context.Context, network, servers string, within func(func() error) error) error {
	const verb = "update"
	_, err := output(ctx, c.command(ctx, verb, "--network-dns-servers", servers, network), verb, within)
	return err
}

// command is a call of netavark.
func (c *Connection) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.Netavark, append([]string{
		"--config", c.Run, "--rootless=" + strconv.FormatBool(c.Rootless), "--aardvark-binary=" + noServer}, args...)...)
	// What it has started may hang with it, would keep its output open, and would go on beside the
	// next one.
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return process.KillGroup(cmd) }
	cmd.WaitDelay = 3 * time.Second
	cmd.Env = []string{"PATH=" + programPath, "RUST_LOG=error"}
	if c.Firewall != "" {
		cmd.Env = append(cmd.Env, "NETAVARK_FW="+c.Firewall)
	}
	if c.DNSPort != 0 && !c.Rootless {
		cmd.Env = append(cmd.Env, "NETAVARK_DNS_PORT="+strconv.Itoa(int(c.DNSPort)))
	}
	return cmd
}

// output starts a call of netavark through within and returns what it answers.
func output(ctx context.Context, cmd *exec.Cmd, verb string, within func(func() error) error) ([]byte, error) {
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := within(cmd.Start); err != nil {
		if ctx.Err() != nil { // it was not even started
			err = context.Cause(ctx)
		}
		return nil, fmt.Errorf("netavark %s: %w", verb, err)
	}
	if err := cmd.Wait(); err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("netavark %s: %w", verb, context.Cause(ctx))
		}
		var answer struct {
			Error string `json:"error"`
		}
		if json.Unmarshal(out.Bytes(), &answer) != nil || answer.Error == "" {
			answer.Error = strings.Join(strings.Fields(complaint.String()), " ")
		}
		return nil, Error{Verb: verb, Said: answer.Error, Err: err}
	}
	return out.Bytes(), nil
}
