// SPDX-License-Identifier: Apache-2.0

package check

import (
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/podunit/podunit/generator/keys"
	"github.com/podunit/podunit/generator/spelling"
)

// form says what is wrong with a value, "" when it is well-formed, and how to mend it.
func form(k *keys.Key, v string) (message, hint string) {
	switch k.Form {
	case keys.Integer:
		if n, err := strconv.ParseInt(v, 10, 64); err != nil || n < -1 {
			return "is not a whole number", ""
		}
	case keys.Duration:
		return duration(v)
	case keys.Size:
		if !sizeForm().MatchString(v) {
			return "is not a size", "write a number with b, k, m or g, as 512m"
		}
	case keys.Signal:
		return signal(v)
	case keys.Port:
		_, message, hint = ParsePort(v)
		return message, hint
	case keys.Expose:
		_, message, hint = ParsePort(v)
		return message, hint
	case keys.Reference:
		return reference(v)
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
	case keys.Capability:
		return capability(v)
	case keys.Device:
		return device(v)
	case keys.IDMap:
		if !idMapForm().MatchString(v) && k.Name != "RemapUid" && k.Name != "RemapGid" {
			return "is not a mapping", "write CONTAINER:HOST:LENGTH, as 0:10000:10"
		}
	case keys.Assignment:
		if k.Name == "Sysctl" && !strings.Contains(v, "=") {
			return "has no value", "write " + k.Name + "=NAME=VALUE"
		}
		if strings.HasPrefix(v, "=") {
			return "has no name", "write " + k.Name + "=NAME=VALUE"
		}
	case keys.HostIP:
		i := strings.IndexByte(v, ':')
		if i <= 0 || v[i+1:] != "host-gateway" {
			if i <= 0 {
				return "is not a host", "write NAME:IP"
			}
			if _, err := netip.ParseAddr(strings.Trim(v[i+1:], "[]")); err != nil {
				return "has no IP address after the colon", "write NAME:IP, or NAME:host-gateway"
			}
		}
	case keys.Tmpfs:
		if !strings.HasPrefix(v, "/") {
			return "is not an absolute path", ""
		}
	case keys.Volume:
		return volume(v)
	case keys.Mount:
		return mount(v)
	case keys.Ulimit:
		return ulimit(v)
	case keys.UserNS:
		return userNS(v)
	case keys.Timezone:
		if strings.HasPrefix(v, "/") || strings.Contains(v, "..") {
			return "is not the name of a time zone", "write a name as Europe/Berlin, or local"
		}
	}
	if k.Name == "WorkingDir" && !strings.HasPrefix(v, "/") {
		return "is not an absolute path", ""
	}
	return name(k, v)
}

// The regular expressions compile when they are asked for: most checks need none.
func sizeForm() *regexp.Regexp {
	return regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)? ?([bBkKmMgGtT]([iI]?[bB])?)?$`)
}
func nameForm() *regexp.Regexp  { return regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`) }
func idMapForm() *regexp.Regexp { return regexp.MustCompile(`^[+ug]*[0-9]+:@?[0-9]+(:[0-9]+)?$`) }

// name checks the names of containers, pods, volumes and networks, by the rule that all engines share.
func name(k *keys.Key, v string) (message, hint string) {
	switch k.Name {
	case "ContainerName", "PodName", "VolumeName", "NetworkName":
		if !nameForm().MatchString(v) {
			return "is not a valid name", nameHint
		}
	}
	return "", ""
}

const nameHint = "names begin with a letter or digit; letters, digits and _.- may follow"

func duration(v string) (message, hint string) {
	if v == "disable" {
		return "", ""
	}
	if d, err := time.ParseDuration(v); err == nil && d >= 0 {
		return "", ""
	}
	if _, err := strconv.Atoi(v); err == nil {
		return "is a duration without a unit", "write " + v + "s for seconds"
	}
	return "is not a duration", "write a number with ms, s, m or h, as 1m30s"
}

func signal(v string) (message, hint string) {
	if n, err := strconv.Atoi(v); err == nil {
		if n < 1 || n > 64 {
			return "is not a signal", "signals are 1 to 64"
		}
		return "", ""
	}
	s := strings.TrimPrefix(strings.ToUpper(v), "SIG")
	if strings.HasPrefix(s, "RTMIN") || strings.HasPrefix(s, "RTMAX") {
		if rest := s[5:]; rest == "" || (rest[0] == '+' || rest[0] == '-') && strings.Trim(rest[1:], "0123456789") == "" {
			return "", ""
		}
	}
	known := strings.Fields("ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF PWR QUIT SEGV STKFLT STOP SYS " +
		"TERM TRAP TSTP TTIN TTOU URG USR1 USR2 VTALRM WINCH XCPU XFSZ")
	for _, k := range known {
		if s == k {
			return "", ""
		}
	}
	if near := spelling.Nearest(s, known); near != "" {
		return "is not a signal", "did you mean SIG" + near + "?"
	}
	return "is not a signal", "write a name as SIGTERM, or a number"
}

// Port is a published port: Count ports on the host from Host on. Host is zero when the runner picks one.
type Port struct {
	IP              netip.Addr // not valid: all addresses
	Host, Container int
	Count           int
	Protocol        string
}

// ParsePort reads [[IP:][HOST]:]CONTAINER[/PROTOCOL], where HOST and CONTAINER may be ranges. The message is empty when
// there is nothing wrong.
func ParsePort(v string) (p Port, message, hint string) {
	const usage = "write [[IP:]HOST:]CONTAINER[/PROTOCOL], as 127.0.0.1:8080:80/tcp"
	p.Protocol = "tcp"
	rest, protocol, has := strings.Cut(v, "/")
	if has {
		p.Protocol = strings.ToLower(protocol)
		switch p.Protocol {
		case "tcp", "udp", "sctp":
		default:
			return p, "has an unknown protocol", "protocols are tcp, udp and sctp"
		}
	}
	container := rest
	host := ""
	if i := strings.LastIndexByte(rest, ':'); i >= 0 {
		container, host = rest[i+1:], rest[:i]
		if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil && (strings.HasPrefix(host, "[") || !strings.Contains(host, ":")) && strings.ContainsAny(host, ".:") {
			host += ":" // IP:CONTAINER is any port on that address
		}
		if j := strings.LastIndexByte(host, ':'); j >= 0 {
			address := host[:j]
			host = host[j+1:]
			if strings.HasPrefix(address, "[") != strings.HasSuffix(address, "]") {
				return p, "has unbalanced brackets", usage
			}
			a, err := netip.ParseAddr(strings.Trim(address, "[]"))
			if err != nil && address != "" {
				return p, "has no valid IP address", usage
			}
			if a.Is6() && !strings.HasPrefix(address, "[") {
				return p, "has an IPv6 address without brackets", "write [" + address + "]"
			}
			p.IP = a
		}
	}
	low, n, bad := portRange(container)
	if bad != "" {
		return p, "has no valid container port: " + bad, usage
	}
	p.Container, p.Count = low, n
	if host == "" || host == "0" {
		return p, "", ""
	}
	low, m, bad := portRange(host)
	if bad != "" {
		return p, "has no valid host port: " + bad, usage
	}
	if m != n {
		return p, "has ranges of different length", "both must hold as many ports"
	}
	p.Host, p.Count = low, m
	return p, "", ""
}

func portRange(s string) (low, count int, bad string) {
	first, last, isRange := strings.Cut(s, "-")
	low, err := strconv.Atoi(first)
	if err != nil || low < 1 || low > 65535 || first[0] == '+' {
		return 0, 0, strconv.Quote(first) + " is not a number from 1 to 65535"
	}
	if !isRange {
		return low, 1, ""
	}
	high, err := strconv.Atoi(last)
	if err != nil || high < 1 || high > 65535 || last[0] == '+' {
		return 0, 0, strconv.Quote(last) + " is not a number from 1 to 65535"
	}
	if high < low {
		return 0, 0, "the range " + s + " ends before it begins"
	}
	return low, high - low + 1, ""
}

// reference checks the name of an image: [registry[:port]/]path[:tag][@digest].
func reference(v string) (message, hint string) {
	if strings.HasSuffix(v, ".image") || strings.HasSuffix(v, ".build") {
		return "", ""
	}
	if strings.HasPrefix(v, "sha256:") || len(v) == 64 && strings.Trim(v, "0123456789abcdef") == "" {
		return "", ""
	}
	if transport, _, ok := strings.Cut(v, ":"); ok {
		switch transport {
		case "docker", "docker-archive", "docker-daemon", "oci", "oci-archive", "dir", "containers-storage", "sif":
			return "", ""
		}
	}
	if strings.ContainsAny(v, " \t") {
		return "is not an image reference", "it contains a blank"
	}
	rest, digest, has := strings.Cut(v, "@")
	if has && !regexp.MustCompile(`^[a-z0-9]+([+._-][a-z0-9]+)*:[0-9a-fA-F]{32,}$`).MatchString(digest) {
		return "is not an image reference", "after the @ comes a digest, as sha256: and 64 hexadecimal digits"
	}
	slash := strings.LastIndexByte(rest, '/')
	path := rest
	if i := strings.LastIndexByte(rest, ':'); i > slash {
		path = rest[:i]
		if !regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`).MatchString(rest[i+1:]) {
			return "is not an image reference", "its tag may hold letters, digits and _.-"
		}
	}
	if registry, after, ok := strings.Cut(path, "/"); ok && (strings.ContainsAny(registry, ".:") || registry == "localhost") {
		if !regexp.MustCompile(`^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?)(:[0-9]+)?$`).MatchString(registry) {
			return "is not an image reference", "the registry " + registry + " is not a host name"
		}
		path = after
	}
	if path != strings.ToLower(path) {
		return "is not an image reference", "the name must be lower-case: " + strings.ToLower(path)
	}
	if !regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`).MatchString(path) {
		return "is not an image reference", "write REGISTRY/PATH:TAG, as docker.io/library/nginx:1.29"
	}
	return "", ""
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

// capability checks one capability, or several with commas between.
func capability(v string) (message, hint string) {
	if one, rest, several := strings.Cut(v, ","); several {
		if message, hint = capability(one); message != "" {
			return message, hint
		}
		return capability(rest)
	}
	s := strings.TrimPrefix(strings.ToUpper(v), "CAP_")
	known := strings.Fields("ALL AUDIT_CONTROL AUDIT_READ AUDIT_WRITE BLOCK_SUSPEND BPF CHECKPOINT_RESTORE CHOWN DAC_OVERRIDE " +
		"DAC_READ_SEARCH FOWNER FSETID IPC_LOCK IPC_OWNER KILL LEASE LINUX_IMMUTABLE MAC_ADMIN MAC_OVERRIDE MKNOD NET_ADMIN " +
		"NET_BIND_SERVICE NET_BROADCAST NET_RAW PERFMON SETFCAP SETGID SETPCAP SETUID SYSLOG SYS_ADMIN SYS_BOOT SYS_CHROOT " +
		"SYS_MODULE SYS_NICE SYS_PACCT SYS_PTRACE SYS_RAWIO SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG WAKE_ALARM")
	for _, k := range known {
		if s == k {
			return "", ""
		}
	}
	if near := spelling.Nearest(s, known); near != "" {
		return "is not a capability", "did you mean CAP_" + near + "?"
	}
	return "is not a capability", "capabilities(7) lists them"
}

func device(v string) (message, hint string) {
	parts := strings.Split(strings.TrimPrefix(v, "-"), ":")
	if len(parts) > 3 || !strings.HasPrefix(parts[0], "/") && !strings.Contains(parts[0], "=") {
		return "is not a device", "write HOST[:CONTAINER][:rwm], as /dev/fuse"
	}
	last := parts[len(parts)-1]
	if len(parts) > 1 && !strings.HasPrefix(last, "/") && strings.Trim(last, "rwm") != "" {
		return "has unknown permissions", "permissions are r, w and m"
	}
	return "", ""
}

// volumeOptions are what -v takes after the second colon.
func volumeOptions() []string {
	return strings.Fields("rw ro z Z U O copy nocopy dev nodev exec noexec suid nosuid bind rbind shared rshared slave rslave " +
		"private rprivate unbindable runbindable idmap noatime")
}

func volume(v string) (message, hint string) {
	parts := strings.SplitN(v, ":", 3)
	dest := parts[0]
	if len(parts) > 1 {
		dest = parts[1]
	}
	if !strings.HasPrefix(dest, "/") {
		return "has no absolute path inside the container", "write [SOURCE:]PATH[:OPTIONS]"
	}
	if len(parts) < 3 {
		return "", ""
	}
	for option := range strings.SplitSeq(parts[2], ",") {
		word, _, _ := strings.Cut(option, "=")
		found := word == "" || word == "upperdir" || word == "workdir" || word == "subpath"
		for _, k := range volumeOptions() {
			found = found || word == k
		}
		if !found {
			hint = "known are " + strings.Join(volumeOptions(), " ")
			if near := spelling.Nearest(word, volumeOptions()); near != "" && len(word) > 2 {
				hint = "did you mean " + near + "?"
			}
			return "has the unknown option " + strconv.Quote(option), hint
		}
	}
	return "", ""
}

func mount(v string) (message, hint string) {
	kind, dest := "volume", false
	for field := range strings.SplitSeq(v, ",") {
		n, value, _ := strings.Cut(field, "=")
		switch n {
		case "type":
			kind = value
		case "destination", "dst", "target":
			dest = true
			if !strings.HasPrefix(value, "/") && !strings.HasPrefix(value, `"/`) {
				return "has no absolute path inside the container", ""
			}
		default:
			if strings.HasPrefix(n, "/") {
				return "is not a list of options", "write type=bind,source=PATH,destination=PATH, or Volume=SOURCE:PATH"
			}
		}
	}
	kinds := []string{"bind", "volume", "tmpfs", "ramfs", "devpts", "image", "glob", "artifact"}
	for _, k := range kinds {
		if k == kind {
			if !dest && kind != "glob" && kind != "volume" {
				return "has no destination", "add destination=PATH"
			}
			return "", ""
		}
	}
	if near := spelling.Nearest(kind, kinds); near != "" {
		return "has an unknown type", "did you mean type=" + near + "?"
	}
	return "has an unknown type", "types are " + strings.Join(kinds, ", ")
}

func ulimit(v string) (message, hint string) {
	if v == "host" {
		return "", ""
	}
	n, limits, ok := strings.Cut(v, "=")
	known := strings.Fields("core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack")
	found := false
	for _, k := range known {
		found = found || strings.TrimPrefix(strings.ToLower(n), "rlimit_") == k
	}
	if !ok || !found {
		return "is not a limit", "write NAME=SOFT[:HARD], where NAME is one of " + strings.Join(known, " ")
	}
	for part := range strings.SplitSeq(limits, ":") {
		if x, err := strconv.ParseInt(part, 10, 64); err != nil || x < -1 {
			return "has no number after the =", "write NAME=SOFT[:HARD]; -1 is unlimited"
		}
	}
	return "", ""
}

func userNS(v string) (message, hint string) {
	mode, _, _ := strings.Cut(v, ":")
	modes := []string{"auto", "host", "keep-id", "nomap", "private", "container", "ns", "pod"}
	for _, m := range modes {
		if m == mode {
			return "", ""
		}
	}
	if near := spelling.Nearest(mode, modes); near != "" {
		return "is not a user namespace mode", "did you mean " + near + "?"
	}
	return "is not a user namespace mode", "modes are " + strings.Join(modes, ", ")
}
