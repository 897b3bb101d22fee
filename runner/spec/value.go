// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"
	"go.podman.io/common/pkg/signal"
	"tags.cncf.io/container-device-interface/pkg/parser"
)

// Device is one --device.
type Device struct {
	// Host is a device or a directory of devices on the host.
	Host string
	// Container is where it appears.
	Container string
	// Permissions is made of r, w and m.
	Permissions string
	// CDI says that Host is the name of a device of the container device interface, such as
	// nvidia.com/gpu=all, which may be more than one node.
	CDI bool `json:",omitempty"`
}

// DeviceRule is one --device-cgroup-rule: what processes may do with devices that have no node yet.
type DeviceRule struct {
	Type         string // a (all), b or c
	Major, Minor *int64 // nil for all
	Access       string // made of r, w and m
}

// ParseDeviceRule reads TYPE MAJOR:MINOR ACCESS, such as c 188:* rwm. Source: podman-run(1),
// --device-cgroup-rule.
func ParseDeviceRule(s string) (DeviceRule, error) {
	f := strings.Fields(s)
	if len(f) != 3 {
		return DeviceRule{}, errors.New("it has a type, numbers and an access")
	}
	r := DeviceRule{Type: f[0], Access: f[2]}
	major, minor, found := strings.Cut(f[1], ":")
	if !found {
		return r, fmt.Errorf("%q is not MAJOR:MINOR", f[1])
	}
	for _, n := range []struct {
		text string
		to   **int64
	}{{major, &r.Major}, {minor, &r.Minor}} {
		if n.text == "*" {
			continue
		}
		v, err := strconv.ParseUint(n.text, 10, 32)
		if err != nil {
			return r, fmt.Errorf("%q is neither a number nor *", n.text)
		}
		number := int64(v)
		*n.to = &number
	}
	if r.Type != "a" && r.Type != "b" && r.Type != "c" {
		return r, fmt.Errorf("%q is none of a, b and c", r.Type)
	}
	if r.Access == "" || strings.Trim(r.Access, "rwm") != "" {
		return r, fmt.Errorf("%q is not made of r, w and m", r.Access)
	}
	return r, nil
}

// DeviceWeight is a weight of a block device.
type DeviceWeight struct {
	Path   string
	Weight uint16
}

// DeviceRate limits a block device.
type DeviceRate struct {
	Path string
	Rate uint64
}

// Ulimit is one resource limit; -1 means no limit.
type Ulimit struct {
	// Name is the short lower-case name, such as nofile.
	Name       string
	Soft, Hard int64
}

// ParseGPUs reads --gpus: all, or numbers and names of GPUs. They are devices of the container
// device interface.
func ParseGPUs(s string) ([]Device, error) {
	var all []Device
	for _, gpu := range strings.Split(strings.TrimPrefix(s, "device="), ",") {
		d, err := ParseDevice("nvidia.com/gpu=" + gpu)
		if err != nil {
			return nil, err
		}
		all = append(all, d)
	}
	return all, nil
}

// ParseDevice reads HOST[:CONTAINER][:PERMISSIONS], or VENDOR/CLASS=NAME.
func ParseDevice(s string) (Device, error) {
	if !strings.HasPrefix(s, "/") {
		if strings.Contains(s, "=") {
			if _, _, _, err := parser.ParseQualifiedName(s); err != nil {
				return Device{}, err
			}
			return Device{Host: s, CDI: true}, nil
		}
		return Device{}, fmt.Errorf("%q is not an absolute path", s)
	}
	parts := strings.Split(s, ":")
	d := Device{Host: parts[0], Container: parts[0], Permissions: "rwm"}
	switch len(parts) {
	case 1:
	case 2:
		if strings.HasPrefix(parts[1], "/") {
			d.Container = parts[1]
		} else {
			d.Permissions = parts[1]
		}
	case 3:
		d.Container, d.Permissions = parts[1], parts[2]
	default:
		return d, errors.New("it has more than two colons")
	}
	if !path.IsAbs(d.Container) {
		return d, fmt.Errorf("%q is not an absolute path inside the container", d.Container)
	}
	if d.Permissions == "" || strings.Trim(d.Permissions, "rwm") != "" {
		return d, fmt.Errorf("%q is not made of r, w and m", d.Permissions)
	}
	return d, nil
}

func ParseUlimit(s string) (Ulimit, error) {
	u, err := units.ParseUlimit(s)
	if err != nil {
		return Ulimit{}, err
	}
	return Ulimit{Name: u.Name, Soft: u.Soft, Hard: u.Hard}, nil
}

// ParseSize reads a number of bytes with an optional suffix b, k, m, g or t.
func ParseSize(s string) (int64, error) {
	n, err := units.RAMInBytes(s)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%q is not a size", s)
	}
	return n, nil
}

// ParseSignal reads a name with or without SIG, in any case, or a number.
func ParseSignal(s string) (int, error) {
	sig, err := signal.ParseSignal(s)
	if err != nil || sig < 1 || sig > 64 {
		return 0, fmt.Errorf("%q is not a signal", s)
	}
	return int(sig), nil
}

// ParseDuration reads a Go duration, or a number of seconds.
func ParseDuration(s string) (time.Duration, error) {
	if n, err := strconv.ParseUint(s, 10, 31); err == nil {
		return time.Duration(n) * time.Second, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is not a duration", s)
	}
	return d, nil
}

// ParseEntrypoint reads one word or a JSON array of words; the result is never nil.
func ParseEntrypoint(s string) []string {
	if s == "" {
		return []string{}
	}
	words := []string{}
	if strings.HasPrefix(s, "[") && json.Unmarshal([]byte(s), &words) == nil {
		return words
	}
	return []string{s} // as podman: what is no array is one word
}

// parseList splits one line of comma-separated values.
func parseList(s string) ([]string, error) {
	if s == "" {
		return nil, nil
	}
	words, err := csv.NewReader(strings.NewReader(s)).Read()
	if err != nil {
		return nil, fmt.Errorf("it is not one line of comma-separated values: %w", err)
	}
	return words, nil
}

var errName = errors.New("a name begins with a letter or digit and goes on with letters, digits, _, . and -")

// maxName leaves room for -pod.service, as a unit's name has up to 255 bytes. Source:
// systemd.unit(5).
const maxName = 240

// CheckName is podman's rule for names of containers, pods and volumes.
func CheckName(s string) error {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case i > 0 && (c == '_' || c == '.' || c == '-'):
		default:
			return errName
		}
	}
	if s == "" {
		return errEmpty
	}
	if len(s) > maxName {
		return fmt.Errorf("it has %d characters, and may have %d", len(s), maxName)
	}
	return nil
}

func ParseRestart(s string) (Restart, error) {
	policy, max, limited := strings.Cut(s, ":")
	r := Restart{Policy: policy}
	switch policy {
	case "no", "always", "unless-stopped":
		if limited {
			return r, fmt.Errorf("%s takes no number of tries, on-failure does", policy)
		}
	case "never":
		r.Policy = "no"
	case "on-failure":
		if limited {
			n, err := strconv.ParseUint(max, 10, 31)
			if err != nil {
				return r, fmt.Errorf("%q is not a number of tries", max)
			}
			r.Max = uint(n)
		}
	default:
		return r, fmt.Errorf("%q is not a policy", s)
	}
	return r, nil
}

func parseRate(s string, read func(string) (uint64, error)) (DeviceRate, error) {
	dev, rate, found := strings.Cut(s, ":")
	if !found || !strings.HasPrefix(dev, "/") {
		return DeviceRate{}, errors.New("it must be a device and a number")
	}
	n, err := read(rate)
	return DeviceRate{Path: dev, Rate: n}, err
}
