// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// User namespace modes.
const (
	UserHost   = "host"    // the user's one namespace; as root, the host's
	UserKeepID = "keep-id" // the user has the same ID inside as outside
	UserNoMap  = "nomap"   // the user has no ID inside
	UserAuto   = "auto"    // IDs that no other container has

	UserContainer = "container" // the user namespace of another container
	UserPath      = "ns"        // the user namespace at a path
)

// IDMapping is what a command line says about user and group IDs.
type IDMapping struct {
	// UserNS is the zero value if nothing was said.
	UserNS UserNS
	// UIDMap and GIDMap are explicit mappings, container to the IDs of the user
	// namespace the runner is in (for root: the host's). A missing GIDMap
	// with a UIDMap is the same as the UIDMap, and the other way round.
	UIDMap, GIDMap []IDMap
	// SubUIDName and SubGIDName are whose ranges in /etc/subuid and /etc/subgid are
	// mapped, as root. One alone stands for both.
	SubUIDName, SubGIDName string `json:",omitempty"`
}

// Said reports whether anything was said.
func (m IDMapping) Said() bool { return m.UserNS.Mode != "" || m.Explicit() }

// Explicit reports whether the mapping is written out, or taken from somebody's ranges.
func (m IDMapping) Explicit() bool {
	return len(m.UIDMap) > 0 || len(m.GIDMap) > 0 || m.SubUIDName != "" || m.SubGIDName != ""
}

// UserNS is a user namespace mode and its options.
type UserNS struct {
	// Mode is empty or one of the User constants.
	Mode string
	// UID and GID are the IDs of the user inside with keep-id; nil is the same
	// as outside.
	UID, GID *uint32
	// Size is the number of IDs with keep-id and auto; zero means all there are, and with
	// auto as many as the image needs.
	Size uint32
	// UIDMap and GIDMap are mappings that must be there with auto.
	UIDMap, GIDMap []IDRange `json:",omitempty"`
	// From is whose namespace it is with container and ns.
	From Namespace `json:",omitzero"`
}

// Found reports whether no words tell the mappings: they are found when the container is made, and
// the storage keeps them with its layer.
func (u UserNS) Found() bool { return u.Mode == UserAuto || u.Joins() }

// Joins reports whether it is a namespace that somebody else has made.
func (u UserNS) Joins() bool { return u.Mode == UserContainer || u.Mode == UserPath }

// ForPod says why a pod cannot have it, or nothing.
func (u UserNS) ForPod() error {
	if !u.Joins() {
		return nil
	}
	return fmt.Errorf("--userns %s: a pod has a user namespace of its own, which its containers share and which goes with it; "+
		"a container without a pod can join another, and --uidmap and --gidmap of the pod say the same IDs", u)
}

// String is the mode as --userns takes it, with its options.
func (u UserNS) String() string {
	switch u.Mode {
	case UserContainer:
		return u.Mode + ":" + u.From.Container
	case UserPath:
		return u.Mode + ":" + u.From.Path
	}
	var options []string
	if u.UID != nil {
		options = append(options, fmt.Sprintf("uid=%d", *u.UID))
	}
	if u.GID != nil {
		options = append(options, fmt.Sprintf("gid=%d", *u.GID))
	}
	if u.Size != 0 {
		options = append(options, fmt.Sprintf("size=%d", u.Size))
	}
	for _, r := range u.UIDMap {
		options = append(options, fmt.Sprintf("uidmapping=%d:%d:%d", r.Container, r.Host, r.Size))
	}
	for _, r := range u.GIDMap {
		options = append(options, fmt.Sprintf("gidmapping=%d:%d:%d", r.Container, r.Host, r.Size))
	}
	if len(options) == 0 {
		return u.Mode
	}
	return u.Mode + ":" + strings.Join(options, ",")
}

// IDRange maps Size IDs of a container to IDs outside it.
type IDRange struct {
	Container, Host, Size uint32
}

// IDMap is a mapping as it is written: [+][u][g]CONTAINER:[@]HOST[:SIZE].
type IDMap struct {
	IDRange
	// Extend takes the place of what else is said of these IDs, and leaves the rest.
	Extend bool `json:",omitempty"`
	// OfHost says that Host is an ID outside of all user namespaces, such as 1000.
	OfHost bool `json:",omitempty"`
	// NoUsers and NoGroups leave it out for one of the two kinds.
	NoUsers, NoGroups bool `json:",omitempty"`
}

// userPrivate says no more than that there are mappings.
const userPrivate = "private"

var errPrivate = errors.New("private is for mappings that are written out; give --uidmap and --gidmap, or auto for IDs that no other container has")

// ParseUserNS reads host, nomap, keep-id[:uid=U,gid=G,size=N],
// auto[:size=N,uidmapping=C:H:N,gidmapping=C:H:N], container:NAME or ns:PATH.
func ParseUserNS(s string) (UserNS, error) {
	mode, rest, options := strings.Cut(s, ":")
	switch mode {
	case "":
		return UserNS{}, nil
	case UserHost, UserNoMap:
		if options {
			return UserNS{}, fmt.Errorf("%s takes no options", mode)
		}
		return UserNS{Mode: mode}, nil
	case UserPath, UserContainer:
		from, err := ParseNamespace(s)
		if err != nil {
			return UserNS{}, fmt.Errorf("%s: %w", mode, err)
		}
		return UserNS{Mode: mode, From: from}, nil
	case userPrivate:
		return UserNS{}, errPrivate
	case UserKeepID, UserAuto:
	default:
		return UserNS{}, fmt.Errorf("%q is not a mode", mode)
	}
	u := UserNS{Mode: mode}
	if !options {
		return u, nil
	}
	for _, opt := range strings.Split(rest, ",") {
		if err := u.option(opt); err != nil {
			return UserNS{}, err
		}
	}
	return u, nil
}

// option takes one NAME=VALUE of keep-id or auto.
func (u *UserNS) option(opt string) error {
	name, value, _ := strings.Cut(opt, "=")
	switch {
	case u.Mode == UserAuto && (name == "uidmapping" || name == "gidmapping"):
		m, err := ParseIDMap(value)
		if err == nil && (m != IDMap{IDRange: m.IDRange}) {
			err = errors.New("it takes three numbers, CONTAINER:HOST:NUMBER")
		}
		if err != nil {
			return fmt.Errorf("%s: %w", opt, err)
		}
		if name == "uidmapping" {
			u.UIDMap = append(u.UIDMap, m.IDRange)
		} else {
			u.GIDMap = append(u.GIDMap, m.IDRange)
		}
		return nil
	case name == "size", u.Mode == UserKeepID && (name == "uid" || name == "gid"):
	case u.Mode == UserAuto:
		return fmt.Errorf("%q is not an option of auto, size=, uidmapping= and gidmapping= are", name)
	default:
		return fmt.Errorf("%q is not an option of keep-id, uid=, gid= and size= are", name)
	}
	n, err := strconv.ParseUint(value, 10, 32)
	if err != nil {
		return fmt.Errorf("%q is not a number in %q", value, opt)
	}
	id := uint32(n)
	switch name {
	case "uid":
		u.UID = &id
	case "gid":
		u.GID = &id
	case "size":
		u.Size = id
	}
	return nil
}

// ParseIDMap reads [+][u][g]CONTAINER:[@]HOST[:SIZE]. Source: podman-run(1), --uidmap.
func ParseIDMap(s string) (IDMap, error) {
	var m IDMap
	digits := strings.IndexFunc(s, func(r rune) bool { return r >= '0' && r <= '9' || r == ':' || r == '@' })
	flags := s[:max(digits, 0)]
	users, groups := false, false
	for _, f := range flags {
		switch f {
		case '+':
			m.Extend = true
		case 'u':
			users = true
		case 'g':
			groups = true
		default:
			return m, fmt.Errorf("%q is none of the flags +, u and g", f)
		}
	}
	m.NoUsers, m.NoGroups = groups && !users, users && !groups
	parts := strings.Split(s[len(flags):], ":")
	if len(parts) != 3 && len(parts) != 2 {
		return m, errors.New("it must have two or three numbers")
	}
	parts[1], m.OfHost = strings.CutPrefix(parts[1], "@")
	n := [3]uint32{2: 1}
	for i, p := range parts {
		v, err := strconv.ParseUint(p, 10, 32)
		if err != nil {
			return m, fmt.Errorf("%q is not a number", p)
		}
		n[i] = uint32(v)
	}
	if n[2] == 0 {
		return m, errors.New("it maps nothing: the third number is how many IDs")
	}
	if n[0]+n[2]-1 < n[0] || n[1]+n[2]-1 < n[1] {
		return m, errors.New("it goes beyond the last ID")
	}
	m.IDRange = IDRange{Container: n[0], Host: n[1], Size: n[2]}
	return m, nil
}

// Own is the user's own ID outside every user namespace, such as 1000.
type Own struct {
	UID, GID uint32
}

// Outer is the user namespace the runner is in: what its IDs are outside of it.
type Outer struct {
	UIDs, GIDs []IDRange
	// Subordinate finds the ranges of a name in /etc/subuid and of one in /etc/subgid.
	Subordinate func(uidName, gidName string) (uids, gids []IDRange, err error)
}

// Fit divides mappings to IDs of the user namespace the runner is in where those come from two of
// its ranges. The kernel takes each range of a mapping from one range of the namespace around it,
// and no mapping at all otherwise. Source: map_write in kernel/user_namespace.c of Linux.
func (o Outer) Fit(uids, gids []IDRange) (uidMap, gidMap []IDRange) {
	return fit(uids, o.UIDs), fit(gids, o.GIDs)
}

func fit(m, outer []IDRange) []IDRange {
	var out []IDRange
	for _, r := range m {
		for r.Size > 0 {
			n := r.Size
			for _, o := range outer {
				if r.Host >= o.Container && r.Host-o.Container < o.Size {
					n = min(n, o.Size-(r.Host-o.Container))
				}
			}
			out = append(out, IDRange{r.Container, r.Host, n})
			r.Container, r.Host, r.Size = r.Container+n, r.Host+n, r.Size-n
		}
	}
	return out
}

// Resolve gives the mappings of a container's own user namespace, relative to
// the user namespace the runner is in, or nil if it needs none of its own. A user has ID 0 there,
// and the subordinate IDs from 1. What auto, container and ns mean depends on others, and is no
// matter of words: it is an error here. Source: podman-run(1), --userns.
func (m IDMapping) Resolve(own Own, outer Outer) (uidMap, gidMap []IDRange, err error) {
	uidMap, gidMap, err = m.resolve(own, outer)
	uidMap, gidMap = outer.Fit(uidMap, gidMap)
	return uidMap, gidMap, err
}

func (m IDMapping) resolve(own Own, outer Outer) (uidMap, gidMap []IDRange, err error) {
	uids, gids := total(outer.UIDs), total(outer.GIDs)
	switch mode := m.UserNS.Mode; {
	case m.SubUIDName != "" || m.SubGIDName != "":
		if own.UID != 0 {
			return nil, nil, errors.New("--subuidname and --subgidname are for root; a user has the ranges of his own: leave them out, or map with --uidmap and --gidmap")
		}
		uidName, gidName := m.SubUIDName, m.SubGIDName
		if uidName == "" {
			uidName = gidName
		}
		if gidName == "" {
			gidName = uidName
		}
		return outer.Subordinate(uidName, gidName)
	case m.Explicit():
		return m.explicit(own, outer)
	case mode == UserNoMap && own.UID == 0:
		return nil, nil, errors.New("--userns nomap leaves out the ID of a user, and root is none; map with --uidmap and --gidmap")
	case mode == UserNoMap && (uids < 2 || gids < 2):
		return nil, nil, errors.New("--userns nomap needs subordinate IDs, and there are none")
	case mode == UserNoMap:
		return []IDRange{{0, 1, uids - 1}}, []IDRange{{0, 1, gids - 1}}, nil
	case m.UserNS.Found():
		return nil, nil, fmt.Errorf("--userns %s: its IDs are found when the container is made", mode)
	case mode != UserKeepID:
		return nil, nil, nil
	case own.UID == 0 && m.UserNS.Size != 0:
		return nil, nil, errors.New("--userns keep-id:size=: root keeps all its IDs; leave size= out, or run as a user")
	case own.UID == 0:
		return nil, nil, nil // every ID is the same inside as outside already
	}
	uid, gid := own.UID, own.GID
	if m.UserNS.UID != nil {
		uid = *m.UserNS.UID
	}
	if m.UserNS.GID != nil {
		gid = *m.UserNS.GID
	}
	if uidMap, err = keepID(uid, uids, m.UserNS.Size); err != nil {
		return nil, nil, fmt.Errorf("--userns keep-id: user %w", err)
	}
	if gidMap, err = keepID(gid, gids, m.UserNS.Size); err != nil {
		return nil, nil, fmt.Errorf("--userns keep-id: group %w", err)
	}
	return uidMap, gidMap, nil
}

// MapsOwner reports whether who runs us, 0 in our user namespace, has an ID.
func MapsOwner(m []IDRange) bool {
	return slices.ContainsFunc(m, func(r IDRange) bool { return r.Host == 0 })
}

// Outside is what an ID of a container is in our own user namespace: the same if there is no mapping.
// mapped is false if the mapping leaves the ID out, so that nobody in the container can have it.
func Outside(m []IDRange, id uint32) (out int, mapped bool) {
	for _, r := range m {
		if id >= r.Container && id-r.Container < r.Size {
			return int(r.Host + id - r.Container), true
		}
	}
	return int(id), len(m) == 0
}

func total(m []IDRange) (n uint32) {
	for _, r := range m {
		n += r.Size
	}
	return n
}

// explicit resolves what is written out.
func (m IDMapping) explicit(own Own, outer Outer) (uidMap, gidMap []IDRange, err error) {
	users, groups := m.UIDMap, m.GIDMap
	if len(users) == 0 {
		users = groups
	}
	if len(groups) == 0 {
		groups = users
	}
	users = slices.DeleteFunc(slices.Clone(users), func(m IDMap) bool { return m.NoUsers })
	groups = slices.DeleteFunc(slices.Clone(groups), func(m IDMap) bool { return m.NoGroups })
	if uidMap, err = expand("uidmap", users, outer.UIDs, own.UID != 0); err != nil {
		return nil, nil, err
	}
	gidMap, err = expand("gidmap", groups, outer.GIDs, own.UID != 0)
	return uidMap, gidMap, err
}

// expand turns what is written for one kind of ID into ranges, in order. Nothing written, because all
// was for the other kind, leaves the IDs as they are. What only extends does so, for a user, with all
// the other IDs there are.
func expand(flag string, written []IDMap, outer []IDRange, rootless bool) ([]IDRange, error) {
	if len(written) == 0 {
		return []IDRange{{0, 0, total(outer)}}, nil
	}
	var m []IDRange
	fill := rootless && written[0].Extend
	for _, w := range written {
		ranges := []IDRange{w.IDRange}
		if w.OfHost {
			var err error
			if ranges, err = ofHost(flag, w.IDRange, outer); err != nil {
				return nil, err
			}
		}
		for _, r := range ranges {
			if w.Extend {
				m = without(m, r)
			}
			m = append(m, r)
		}
	}
	for _, r := range m {
		if n := total(outer); uint64(r.Host)+uint64(r.Size) > uint64(n) {
			return nil, fmt.Errorf("--%s %d:%d:%d: there are only %d IDs to map to; add a larger range to /etc/subuid and /etc/subgid", flag, r.Container, r.Host, r.Size, n)
		}
	}
	if fill {
		m = filled(m, total(outer))
	}
	m = merged(m)
	for i, r := range m {
		for _, other := range m[:i] {
			if overlap(r.Container, other.Container, r.Size, other.Size) || overlap(r.Host, other.Host, r.Size, other.Size) {
				return nil, fmt.Errorf("--%s: %d:%d:%d and %d:%d:%d have IDs in common; + before the second takes them from the first", flag,
					other.Container, other.Host, other.Size, r.Container, r.Host, r.Size)
			}
		}
	}
	if m[0].Container != 0 {
		return nil, fmt.Errorf("--%s: 0 of the container is mapped to nothing, and the runtime needs it; map it to any ID, such as 0:1:%d", flag, m[0].Container)
	}
	return m, nil
}

func overlap(a, b, sizeA, sizeB uint32) bool {
	return uint64(a) < uint64(b)+uint64(sizeB) && uint64(b) < uint64(a)+uint64(sizeA)
}

// ofHost turns a mapping to IDs outside of all user namespaces into one to those of outer.
func ofHost(flag string, r IDRange, outer []IDRange) ([]IDRange, error) {
	var out []IDRange
	for r.Size > 0 {
		i := slices.IndexFunc(outer, func(o IDRange) bool { return r.Host >= o.Host && r.Host-o.Host < o.Size })
		if i < 0 {
			return nil, fmt.Errorf("--%s: ID %d of this machine is not in the ranges of /etc/subuid and /etc/subgid that are ours", flag, r.Host)
		}
		o := outer[i]
		n := min(r.Size, o.Size-(r.Host-o.Host))
		out = append(out, IDRange{Container: r.Container, Host: o.Container + (r.Host - o.Host), Size: n})
		r.Container, r.Host, r.Size = r.Container+n, r.Host+n, r.Size-n
	}
	return out, nil
}

// without takes the IDs of r, on both sides, from m.
func without(m []IDRange, r IDRange) []IDRange {
	cut := func(m []IDRange, side func(IDRange) uint32) []IDRange {
		var out []IDRange
		for _, p := range m {
			from, to := max(side(p), side(r)), min(uint64(side(p))+uint64(p.Size), uint64(side(r))+uint64(r.Size))
			if uint64(from) >= to {
				out = append(out, p)
				continue
			}
			if n := from - side(p); n > 0 {
				out = append(out, IDRange{p.Container, p.Host, n})
			}
			if n := uint32(to - uint64(side(p))); n < p.Size {
				out = append(out, IDRange{p.Container + n, p.Host + n, p.Size - n})
			}
		}
		return out
	}
	m = cut(m, func(p IDRange) uint32 { return p.Container })
	return cut(m, func(p IDRange) uint32 { return p.Host })
}

// filled gives the IDs from 0 to total that m does not map to those of the container that it leaves
// out, from 0 on and in order.
func filled(m []IDRange, total uint32) []IDRange {
	free := []IDRange{{Host: 0, Size: total}}
	for _, r := range m {
		var left []IDRange
		for _, f := range free {
			if !overlap(f.Host, r.Host, f.Size, r.Size) {
				left = append(left, f)
				continue
			}
			if r.Host > f.Host {
				left = append(left, IDRange{Host: f.Host, Size: r.Host - f.Host})
			}
			if end := r.Host + r.Size; end < f.Host+f.Size {
				left = append(left, IDRange{Host: end, Size: f.Host + f.Size - end})
			}
		}
		free = left
	}
	m = sorted(m)
	out, next := []IDRange{}, uint32(0)
	give := func(limit uint32) {
		for next < limit && len(free) > 0 {
			n := min(limit-next, free[0].Size)
			out = append(out, IDRange{next, free[0].Host, n})
			next += n
			if free[0].Host, free[0].Size = free[0].Host+n, free[0].Size-n; free[0].Size == 0 {
				free = free[1:]
			}
		}
	}
	for _, r := range m {
		give(r.Container)
		out = append(out, r)
		next = r.Container + r.Size
	}
	give(1<<32 - 1)
	return out
}

func sorted(m []IDRange) []IDRange {
	m = slices.Clone(m)
	slices.SortStableFunc(m, func(a, b IDRange) int { return int(int64(a.Container) - int64(b.Container)) })
	return m
}

// merged is m in order, with what goes on in one: the kernel takes 340 ranges at most.
func merged(m []IDRange) []IDRange {
	var out []IDRange
	for _, r := range sorted(m) {
		if n := len(out); n > 0 && out[n-1].Container+out[n-1].Size == r.Container && out[n-1].Host+out[n-1].Size == r.Host {
			out[n-1].Size += r.Size
			continue
		}
		out = append(out, r)
	}
	return out
}

// keepID maps id of the container to 0 and the others around it, in order.
func keepID(id, total, size uint32) ([]IDRange, error) {
	if size != 0 {
		if size > total {
			return nil, fmt.Errorf("IDs: size=%d asks for more than the %d there are", size, total)
		}
		total = size
	}
	if total == 0 {
		total = 1
	}
	below := min(id, total-1)
	var m []IDRange
	if below > 0 {
		m = append(m, IDRange{Container: 0, Host: 1, Size: below})
	}
	m = append(m, IDRange{Container: id, Host: 0, Size: 1})
	above := total - 1 - below
	if uint64(id)+uint64(above) >= 1<<32-1 { // the last ID means none
		return nil, fmt.Errorf("ID %d lies too high", id)
	}
	if above > 0 {
		m = append(m, IDRange{Container: id + 1, Host: below + 1, Size: above})
	}
	return m, nil
}
