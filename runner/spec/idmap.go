// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// User namespace modes that are built.
const (
	UserHost   = "host"    // the user's one namespace; as root, the host's
	UserKeepID = "keep-id" // the user has the same ID inside as outside
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

// ParseUserNS reads host or keep-id[:uid=U,gid=G,size=N].
func ParseUserNS(s string) (UserNS, error) {
	mode, rest, options := strings.Cut(s, ":")
	switch mode {
	case "":
		return UserNS{}, nil
	case UserHost:
		if options {
			return UserNS{}, fmt.Errorf("%s takes no options", mode)
		}
		return UserNS{Mode: mode}, nil
	case "auto", "ns", "container", "private", "nomap":
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

// ParseIDRange reads CONTAINER:HOST:SIZE. The extended forms with +, @, u and g
// in front are not read.
func ParseIDRange(s string) (IDRange, error) {
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

// Own is the user's own ID outside every user namespace, such as 1000.
type Own struct {
	UID, GID uint32
}

// Resolve gives the mappings of a container's own user namespace, relative to
// the user namespace the runner is in, or nil if it needs none of its own. uids
// and gids are the numbers of IDs in the runner's user namespace (the lengths
// in uid_map and gid_map added up), where ID 0 is the user and the others
// follow from 1. Source: podman-run(1), --userns.
func (m IDMapping) Resolve(own Own, uids, gids uint32) (uidMap, gidMap []IDRange, err error) {
	switch {
	case len(m.UIDMap) > 0 || len(m.GIDMap) > 0:
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
		if err := within("gidmap", gidMap, gids); err != nil {
			return nil, nil, err
		}
		if !reaches(uidMap, 0) || !reaches(gidMap, 0) {
			// Its root could not even reach its own files: the way to the
			// storage is open to its owner only.
			return nil, nil, &NotBuilt{What: "a user namespace in which the owner of the storage (0 outside) has no ID", Issue: IssueUserNamespaces}
		}
		return uidMap, gidMap, nil
	case m.UserNS.Mode != UserKeepID:
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

func reaches(m []IDRange, id uint32) bool {
	return slices.ContainsFunc(m, func(r IDRange) bool { return id >= r.Host && id-r.Host < r.Size })
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

func within(flag string, m []IDRange, total uint32) error {
	for _, r := range m {
		if uint64(r.Host)+uint64(r.Size) > uint64(total) {
			return fmt.Errorf("--%s %d:%d:%d: there are only %d IDs to map to; add a larger range to /etc/subuid and /etc/subgid",
				flag, r.Container, r.Host, r.Size, total)
		}
	}
	return nil
}
