// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// User namespace modes that are built.
const (
	UserHost   = "host"    // the user's one namespace; as root, the host's
	UserKeepID = "keep-id" // the user has the same ID inside as outside
	UserNoMap  = "nomap"   // the user's own ID is not in the container at all
)

// IDMapping is what a command line says about user and group IDs.
type IDMapping struct {
	// UserNS is the zero value if nothing was said.
	UserNS UserNS
	// UIDMap and GIDMap are explicit mappings, container to the IDs of the user
	// namespace the runner is in (for root: the host's). A missing GIDMap
	// with a UIDMap is the same as the UIDMap, and the other way round.
	UIDMap, GIDMap []IDRange
}

// UserNS is a user namespace mode and its options.
type UserNS struct {
	// Mode is empty or one of the User constants.
	Mode string
	// UID and GID are the IDs of the user inside with keep-id; nil is the same
	// as outside.
	UID, GID *uint32
	// Size is the number of IDs with keep-id; zero means all there are.
	Size uint32
}

// IDRange maps Size IDs of a container to IDs outside it.
type IDRange struct {
	Container, Host, Size uint32
}

// parseUserNS reads host, keep-id[:uid=U,gid=G,size=N] or nomap.
func parseUserNS(s string) (UserNS, error) {
	mode, rest, options := strings.Cut(s, ":")
	switch mode {
	case "":
		return UserNS{}, nil
	case UserHost, UserNoMap:
		if options {
			return UserNS{}, fmt.Errorf("%s takes no options", mode)
		}
		return UserNS{Mode: mode}, nil
	case "auto", "ns", "container", "private":
		return UserNS{}, &NotBuilt{What: "--userns " + mode, Issue: IssueUserNamespaces}
	case UserKeepID:
	default:
		return UserNS{}, fmt.Errorf("%q is not a mode", mode)
	}
	u := UserNS{Mode: mode}
	if !options {
		return u, nil
	}
	for _, opt := range strings.Split(rest, ",") {
		name, value, _ := strings.Cut(opt, "=")
		n, err := strconv.ParseUint(value, 10, 32)
		if err != nil {
			return UserNS{}, fmt.Errorf("%q is not a number in %q", value, opt)
		}
		id := uint32(n)
		switch name {
		case "uid":
			u.UID = &id
		case "gid":
			u.GID = &id
		case "size":
			u.Size = id
		default:
			return UserNS{}, fmt.Errorf("%q is not an option of keep-id, uid=, gid= and size= are", name)
		}
	}
	return u, nil
}

// parseIDRange reads CONTAINER:HOST:SIZE. The extended forms with +, @, u and g
// in front are not read.
func parseIDRange(s string) (IDRange, error) {
	if strings.ContainsAny(s, "+@ug") {
		return IDRange{}, &NotBuilt{What: fmt.Sprintf("the extended form %q of an ID mapping", s), Issue: IssueUserNamespaces}
	}
	parts := strings.Split(s, ":")
	if len(parts) != 3 && len(parts) != 2 {
		return IDRange{}, errors.New("it must have two or three numbers")
	}
	n := [3]uint32{2: 1}
	for i, p := range parts {
		v, err := strconv.ParseUint(p, 10, 32)
		if err != nil {
			return IDRange{}, fmt.Errorf("%q is not a number", p)
		}
		n[i] = uint32(v)
	}
	if n[2] == 0 {
		return IDRange{}, errors.New("it maps nothing: the third number is how many IDs")
	}
	if n[0]+n[2]-1 < n[0] || n[1]+n[2]-1 < n[1] {
		return IDRange{}, errors.New("it goes beyond the last ID")
	}
	return IDRange{Container: n[0], Host: n[1], Size: n[2]}, nil
}

// Own is the user's own ID, outside every user namespace, and where it lies in
// the user namespace the runner is in.
type Own struct {
	UID, GID uint32 // outside, such as 1000
}

// Resolve gives the mappings of a container's own user namespace, relative to
// the user namespace the runner is in, or nil if it needs none of its own.
// size is the number of IDs in the runner's user namespace (uid_map and gid_map
// with their lengths added up), where ID 0 is the user and the others follow
// from 1. Source: podman-run(1), --userns.
func (m IDMapping) Resolve(own Own, uids, gids uint32) (uidMap, gidMap []IDRange, err error) {
	if len(m.UIDMap) > 0 || len(m.GIDMap) > 0 {
		uidMap, gidMap = m.UIDMap, m.GIDMap
		if len(uidMap) == 0 {
			uidMap = gidMap
		}
		if len(gidMap) == 0 {
			gidMap = uidMap
		}
		if err := within("uidmap", uidMap, uids); err != nil {
			return nil, nil, err
		}
		return uidMap, gidMap, within("gidmap", gidMap, gids)
	}
	if own.UID == 0 && (m.UserNS.Mode == UserKeepID || m.UserNS.Mode == UserNoMap) {
		return nil, nil, fmt.Errorf("--userns %s: there is no user to map for root; leave it out, or run as a user", m.UserNS.Mode)
	}
	switch m.UserNS.Mode {
	case UserKeepID:
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
	case UserNoMap:
		if uids < 2 || gids < 2 {
			return nil, nil, errors.New("--userns nomap: there are no subordinate IDs; add a range for this user to /etc/subuid and /etc/subgid")
		}
		return []IDRange{{Host: 1, Size: uids - 1}}, []IDRange{{Host: 1, Size: gids - 1}}, nil
	}
	return nil, nil, nil
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
	if above := total - 1 - below; above > 0 {
		m = append(m, IDRange{Container: id + 1, Host: below + 1, Size: above})
	}
	if last := m[len(m)-1]; last.Container+last.Size-1 < last.Container {
		return nil, fmt.Errorf("ID %d lies too high", id)
	}
	return m, nil
}

func within(flag string, m []IDRange, total uint32) error {
	for _, r := range m {
		if uint64(r.Host)+uint64(r.Size) > uint64(total) {
			return fmt.Errorf("--%s %d:%d:%d: there are only %d IDs to map to; add a larger range to /etc/subuid and /etc/subgid",
				flag, r.Container, r.Host, r.Size, total)
		}
	}
	return nil
}
