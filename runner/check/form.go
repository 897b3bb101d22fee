// SPDX-License-Identifier: Apache-2.0

package check

import (
	"errors"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/podunit/podunit/generator/keys"
	"github.com/podunit/podunit/runner/spec"
	"github.com/spf13/pflag"
	"go.podman.io/image/v5/docker/reference"
	"go.podman.io/image/v5/transports/alltransports"
)

// form says what is wrong with a value that no flag's grammar judges: the names of images, of
// resources, and the addresses of a network. The message is empty when the value is well-formed.
func form(k *keys.Key, v string) (message, hint string) {
	switch k.Form {
	case keys.Reference:
		return image(v)
	case keys.Duration:
		return duration(v)
	case keys.IPv4:
		if a, err := netip.ParseAddr(v); err != nil || !a.Is4() {
			return "is not an IPv4 address", ""
		}
	case keys.IPv6:
		if a, err := netip.ParseAddr(v); err != nil || !a.Is6() {
			return "is not an IPv6 address", ""
		}
	case keys.IP:
		if _, err := netip.ParseAddr(v); err != nil && v != "none" {
			return "is not an IP address", ""
		}
	case keys.CIDR:
		return cidr(v)
	case keys.IPRange:
		return ipRange(v)
	}
	switch k.Name {
	case "VolumeName", "NetworkName":
		if !validName(v) {
			return "is not a valid name", nameHint
		}
	}
	return "", ""
}

const nameHint = "names begin with a letter or digit; letters, digits and _.- may follow"

// validName tells whether the runner takes a name for a container, a pod, a volume or a network;
// the rule is the same.
func validName(name string) bool {
	set := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags := spec.ContainerFlags(set)
	if err := set.Set("name", name); err != nil {
		return false
	}
	_, err := flags.Container([]string{"x"}, spec.Host{})
	return err == nil
}

// image checks what Image= and its kin take: the name of an image or of a unit file that makes one,
// an ID, or a place of another transport.
func image(v string) (message, hint string) {
	if strings.HasSuffix(v, ".image") || strings.HasSuffix(v, ".build") || regexp.MustCompile(`^(sha256:)?[0-9a-f]{64}$`).MatchString(v) {
		return "", ""
	}
	if alltransports.TransportFromImageName(v) != nil {
		if _, err := alltransports.ParseImageName(v); err != nil {
			return "is not an image: " + err.Error(), ""
		}
		return "", ""
	}
	_, err := reference.ParseDockerRef(v)
	switch {
	case err == nil:
		return "", ""
	case errors.Is(err, reference.ErrNameContainsUppercase):
		name, rest := v, ""
		if i := strings.LastIndexAny(v, ":@"); i > strings.LastIndexByte(v, '/') {
			name, rest = v[:i], v[i:]
		}
		return "is not an image reference", "the name must be lower-case: " + strings.ToLower(name) + rest
	case strings.ContainsAny(v, " \t"):
		return "is not an image reference", "it contains a blank"
	}
	return "is not an image reference", "write REGISTRY/PATH:TAG, as docker.io/library/nginx:1.29; a digest is sha256: and 64 hexadecimal digits"
}

// duration checks times of health checks and of pulls.
func duration(v string) (message, hint string) {
	if d, err := time.ParseDuration(v); v == "disable" || err == nil && d >= 0 {
		return "", ""
	}
	if _, err := strconv.Atoi(v); err == nil {
		return "is a duration without a unit", "write " + v + "s for seconds"
	}
	return "is not a duration", "write a number with ms, s, m or h, as 1m30s"
}

func cidr(v string) (message, hint string) {
	p, err := netip.ParsePrefix(v)
	if err != nil {
		if a, err := netip.ParseAddr(v); err == nil {
			return "has no prefix length", "write " + a.String() + "/24"
		}
		return "is not a subnet", "write ADDRESS/LENGTH, as 10.89.0.0/24"
	}
	if p.Masked() != p {
		return "has bits set after its prefix", "write " + p.Masked().String()
	}
	return "", ""
}

func ipRange(v string) (message, hint string) {
	first, last, ok := strings.Cut(v, "-")
	if !ok {
		if _, err := netip.ParsePrefix(v); err != nil {
			return "is not a range", "write ADDRESS/LENGTH or FIRST-LAST"
		}
		return "", ""
	}
	a, errA := netip.ParseAddr(first)
	b, errB := netip.ParseAddr(last)
	if errA != nil || errB != nil || a.BitLen() != b.BitLen() {
		return "is not a range", "write FIRST-LAST, two addresses of one kind"
	}
	if b.Less(a) {
		return "ends before it begins", ""
	}
	return "", ""
}
