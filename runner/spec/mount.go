// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/go-units"
)

// Mount types.
const (
	MountBind   = "bind"   // a file or directory of the host
	MountVolume = "volume" // a named volume, or an anonymous one if Source is empty
	MountTmpfs  = "tmpfs"
	MountRamfs  = "ramfs"
	MountDevpts = "devpts"
	MountGlob   = "glob"  // all files of the host that match Source
	MountImage  = "image" // the files of an image of the storage

	// MountArtifact are the files of an artifact of the storage, which nobody can change.
	MountArtifact = "artifact"
)

// Mount is one --volume, --mount or --tmpfs.
type Mount struct {
	// Type is one of the Mount constants.
	Type string
	// Source is a path of the host, a volume's name, an image, an artifact or a pattern; it
	// is empty for an anonymous volume and for file systems made on the spot.
	Source string `json:",omitempty"`
	// Destination is an absolute path in the container.
	Destination string
	// Options are mount options as runc knows them: ro, rw, nosuid, rprivate,
	// size=, mode= and so on. Bind and rbind are among them for Type bind.
	Options []string `json:",omitempty"`
	// Relabel is z (shared), Z (private) or empty: give the source the
	// container's SELinux label, where there is SELinux.
	Relabel string `json:",omitempty"`
	// Chown gives the source to the container's user before the start (U).
	Chown bool `json:",omitempty"`
	// Overlay mounts the source under a layer that takes the changes (O).
	// Upper and Work are that layer's directories; if empty, the changes are
	// discarded at the end.
	Overlay bool   `json:",omitempty"`
	Upper   string `json:",omitempty"`
	Work    string `json:",omitempty"`
	// NoCopy leaves a new volume or a tmpfs empty, where it otherwise begins with
	// what the image has at the destination.
	NoCopy bool `json:",omitempty"`
	// NoCreate refuses the start where there is no volume of that name.
	NoCreate bool `json:",omitempty"`
	// Driver are the options of the volume that is made where there is none of that name, as --opt
	// of volume create.
	Driver map[string]string `json:",omitempty"`
	// NoDereference puts a link there that is like the source, if that is a link, and mounts nothing.
	NoDereference bool `json:",omitempty"`
	// Subpath is what of the source is mounted, an absolute path in it; empty is all. Each start
	// looks it up anew, and links that others put there lead nowhere else.
	Subpath string `json:",omitempty"`
	// MakeSubpath makes a directory of it where there is nothing.
	MakeSubpath bool `json:",omitempty"`
	// Blob says which file of an artifact is mounted, and what it is called there.
	Blob Blob `json:",omitzero"`
	// IDMap shows the source's owners through the container's user namespace.
	IDMap bool `json:",omitempty"`
	// UIDMap and GIDMap are mappings of its own, in place of the container's; see MountIDs.
	UIDMap, GIDMap []MountIDs `json:",omitempty"`
}

// Blob is a file of an artifact. Source: podman-run(1), --mount.
type Blob struct {
	Title  string `json:",omitempty"` // the file with that title
	Digest string `json:",omitempty"` // the file with that digest, "sha256:" and 64 digits
	// Name is what the file is called in a directory; of several each gets a number after it.
	Name string `json:",omitempty"`
}

// ReadOnly reports whether ro is among the options.
func (m Mount) ReadOnly() bool { return slices.Contains(m.Options, "ro") }

// MemoryOptions are the options of a mount without a source, with podman's defaults for what was
// not said.
func (m Mount) MemoryOptions() []string {
	out := slices.Clone(m.Options)
	either := func(option, opposite string) {
		if !slices.Contains(out, option) && !slices.Contains(out, opposite) {
			out = append(out, option)
		}
	}
	either("rw", "ro")
	out = append(out, "rprivate")
	either("nosuid", "suid")
	if m.Type != MountDevpts {
		either("nodev", "dev")
	}
	if m.Type == MountTmpfs && !m.NoCopy {
		out = append(out, "tmpcopyup")
	}
	return out
}

// VolumeOptions are the options of a volume: programs in it gain no rights and devices in it do
// not work, unless it was said that they shall.
func (m Mount) VolumeOptions() []string {
	out := slices.Clone(m.Options)
	for _, pair := range [][2]string{{"nosuid", "suid"}, {"nodev", "dev"}} {
		if !slices.Contains(out, pair[0]) && !slices.Contains(out, pair[1]) {
			out = append(out, pair[0])
		}
	}
	return out
}

// equal reports whether both mounts are the same in everything.
func (m Mount) equal(o Mount) bool { return reflect.DeepEqual(m, o) }

// String is the mount as a person may write it, for messages.
func (m Mount) String() string {
	if m.Source == "" {
		return m.Type + " " + m.Destination
	}
	return m.Source + ":" + m.Destination
}

// ParseVolume reads [SOURCE:]DESTINATION[:OPTIONS]. A source that begins with a
// slash or a dot is a path of the host, any other is a volume's name; relative
// paths are taken from dir. Source: podman-run(1), --volume.
func ParseVolume(s, dir string) (Mount, error) {
	parts := splitColons(s)
	var m Mount
	var options string
	switch len(parts) {
	case 1:
		m = Mount{Type: MountVolume, Destination: parts[0]}
	case 2, 3:
		m = Mount{Source: parts[0], Destination: parts[1]}
		if len(parts) == 3 {
			options = parts[2]
		}
		switch {
		case m.Source == "":
			return m, errors.New("nothing stands before the first colon; for an anonymous volume write only the path inside the container")
		case strings.HasPrefix(m.Source, "/"), strings.HasPrefix(m.Source, "."):
			m.Type = MountBind
			if !path.IsAbs(m.Source) {
				m.Source = path.Join(dir, m.Source)
			}
		default:
			m.Type = MountVolume
			if err := CheckName(m.Source); err != nil {
				return m, fmt.Errorf("%q is no volume name and no path: %w", m.Source, err)
			}
		}
	default:
		return m, errors.New("it has more than two colons")
	}
	if err := m.destination(m.Destination); err != nil {
		return m, err
	}
	for _, opt := range splitOptions(options) {
		if err := m.option(opt); err != nil {
			return m, err
		}
	}
	return m, m.finish()
}

// VolumesFrom is one --volumes-from: all that another container has mounted from the host or a
// volume.
type VolumesFrom struct {
	Container string // name or ID
	// Options, such as ro, take the place of what the other one has.
	Options []string `json:",omitempty"`
}

// ParseVolumesFrom reads CONTAINER[:OPTION,...]. Source: podman-run(1), --volumes-from.
func ParseVolumesFrom(s string) (VolumesFrom, error) {
	name, options, _ := strings.Cut(s, ":")
	from := VolumesFrom{Container: name, Options: splitOptions(options)}
	if name == "" {
		return from, errEmpty
	}
	for _, o := range from.Options {
		if !slices.Contains([]string{"ro", "rw", "z", "Z"}, o) {
			return from, fmt.Errorf("%q is not an option of it", o)
		}
	}
	return from, nil
}

// Apply gives what a container gets of the mounts that another one has; places in taken stay free.
func (f VolumesFrom) Apply(mounts, taken []Mount) []Mount {
	var out []Mount
	for _, m := range mounts {
		at := func(other Mount) bool { return path.Clean(other.Destination) == path.Clean(m.Destination) }
		if m.Type != MountBind && m.Type != MountVolume || slices.ContainsFunc(taken, at) {
			continue
		}
		m.NoCopy, m.Chown = true, false // that was at the start of the other one
		for _, o := range f.Options {
			switch o {
			case "z", "Z":
				m.Relabel = o
			default:
				m.Options = append(slices.DeleteFunc(slices.Clone(m.Options), func(had string) bool { return had == "ro" || had == "rw" }), o)
			}
		}
		out = append(out, m)
	}
	return out
}

// ParseTmpfs reads PATH[:OPTIONS]. Source: podman-run(1), --tmpfs.
func ParseTmpfs(s string) (Mount, error) {
	dst, options, _ := strings.Cut(s, ":")
	m := Mount{Type: MountTmpfs}
	if err := m.destination(dst); err != nil {
		return m, err
	}
	for _, opt := range splitOptions(options) {
		if err := m.option(opt); err != nil {
			return m, err
		}
	}
	return m, m.finish()
}

// ParseMount reads type=TYPE,NAME[=VALUE],... as one CSV record; without a type
// it is a volume. Relative sources are taken from dir. Source: podman-run(1),
// --mount.
func ParseMount(s, dir string) (Mount, error) {
	r := csv.NewReader(strings.NewReader(s))
	fields, err := r.Read()
	if err != nil {
		return Mount{}, fmt.Errorf("it is not one line of comma-separated values: %w", err)
	}
	m := Mount{Type: MountVolume}
	for _, f := range fields {
		if name, value, _ := strings.Cut(f, "="); name == "type" {
			m.Type = value
		}
	}
	switch m.Type {
	case MountBind, MountVolume, MountTmpfs, MountRamfs, MountDevpts, MountGlob, MountImage, MountArtifact:
	default:
		return m, fmt.Errorf("%q is not a type; artifact, bind, volume, tmpfs, ramfs, devpts, glob and image are", m.Type)
	}
	for _, f := range fields {
		if err := m.field(f, dir); err != nil {
			return m, err
		}
	}
	switch {
	case m.Destination == "" && m.Type == MountGlob:
		// Without a destination each match appears where it is on the host.
	case m.Destination == "":
		return m, errors.New("destination= is missing")
	}
	if m.Source == "" && slices.Contains([]string{MountBind, MountGlob, MountImage, MountArtifact}, m.Type) {
		return m, errors.New("source= is missing")
	}
	return m, m.finish()
}

// fieldTypes are the types of mount that an option of --mount is for; nil means all, or that the
// option is judged as one of -v.
func fieldTypes(name string) []string {
	switch name {
	case "source", "src":
		return []string{MountBind, MountVolume, MountGlob, MountImage, MountArtifact}
	case "title", "digest", "name":
		return []string{MountArtifact}
	case "relabel":
		return []string{MountBind, MountVolume, MountGlob}
	case "subpath":
		return []string{MountVolume, MountImage}
	case "volume-subpath":
		return []string{MountVolume}
	case "image-subpath":
		return []string{MountImage}
	case "idmap":
		return []string{MountBind, MountVolume}
	case "bind-propagation", "bind-nonrecursive":
		return []string{MountBind, MountGlob}
	case "volume-nocopy", "nocopy", "nocreate", "volume-opt":
		return []string{MountVolume}
	case "no-dereference":
		return []string{MountBind, MountGlob}
	case "tmpfs-size", "size":
		return []string{MountTmpfs, MountRamfs}
	case "tmpfs-mode", "mode":
		return []string{MountTmpfs, MountDevpts, MountRamfs}
	case "tmpcopyup", "notmpcopyup":
		return []string{MountTmpfs}
	case "uid", "gid", "ptmxmode", "max", "newinstance":
		return []string{MountTmpfs, MountDevpts}
	}
	return nil
}

// field takes one NAME[=VALUE] of a --mount.
func (m *Mount) field(f, dir string) error {
	name, value, given := strings.Cut(f, "=")
	if types := fieldTypes(name); types != nil && !slices.Contains(types, m.Type) {
		return fmt.Errorf("%s is not an option of type %s", name, m.Type)
	}
	if m.Type == MountArtifact {
		return m.artifact(name, value, given)
	}
	switch name {
	case "type":
		return nil
	case "source", "src":
		return m.source(value, dir)
	case "destination", "dst", "dest", "target":
		return m.destination(value)
	case "readonly", "ro", "rw", "readwrite", "bind-nonrecursive", "U", "chown", "volume-nocopy", "nocopy", "nocreate", "no-dereference":
		return m.toggle(name, value, given)
	case "bind-propagation":
		return m.option(value)
	case "relabel":
		switch value {
		case "shared":
			m.Relabel = "z"
		case "private":
			m.Relabel = "Z"
		default:
			return fmt.Errorf("relabel=%q: it is shared or private", value)
		}
		return nil
	case "idmap":
		return m.option(f)
	case "subpath", "volume-subpath", "image-subpath":
		if value == "" {
			return fmt.Errorf("%s= is empty", name)
		}
		m.Subpath = path.Clean("/" + value)
		return nil
	case "tmpfs-size", "size":
		return m.option("size=" + value)
	case "tmpfs-mode", "mode":
		return m.option("mode=" + value)
	case "volume-opt":
		return m.driver(value)
	case "volume-label":
		return errors.New("labels are given to podunit volume create --label, or Label= of a .volume file")
	case "consistency":
		return nil // of other systems than Linux; Podman takes it, too
	}
	if b, err := strconv.ParseBool(value); given && err == nil && isMountFlag(name) {
		if !b {
			name = opposite(name)
		}
		return m.option(name)
	}
	return m.option(f)
}

// source takes what is mounted: a path of the host, or the name of a volume.
func (m *Mount) source(value, dir string) error {
	m.Source = value
	switch m.Type {
	case MountBind, MountGlob:
		if value == "" {
			return errors.New("source= is empty")
		}
		m.Source = absolute(value, dir)
	case MountVolume:
		if value == "" {
			return nil
		}
		if err := CheckName(value); err != nil {
			return fmt.Errorf("volume %q: %w", value, err)
		}
	}
	return nil
}

// artifact takes one NAME[=VALUE] of a --mount of an artifact, of which title, digest and name say
// which file is meant.
func (m *Mount) artifact(name, value string, given bool) error {
	if given && value == "" {
		return fmt.Errorf("%s= is empty", name)
	}
	switch name {
	case "type":
	case "source", "src":
		m.Source = value
	case "destination", "dst", "dest", "target":
		return m.destination(value)
	case "readonly", "ro", "rw", "readwrite":
		readOnly := name == "readonly" || name == "ro"
		if on, err := strconv.ParseBool(cmp.Or(value, "true")); err != nil || on != readOnly {
			return errors.New("nobody can write to an artifact: it is always read-only")
		}
	case "title":
		m.Blob.Title = value
	case "digest":
		m.Blob.Digest = value
	case "name":
		if strings.Contains(value, "/") || value == "." || value == ".." {
			return fmt.Errorf("name=%q is no name of a file", value)
		}
		m.Blob.Name = value
	default:
		return fmt.Errorf("%s is not an option of type artifact", name)
	}
	if m.Blob.Title != "" && m.Blob.Digest != "" {
		return errors.New("title and digest exclude each other")
	}
	return nil
}

// driver takes NAME[=VALUE], an option for the volume that the mount makes.
func (m *Mount) driver(option string) error {
	name, value, _ := strings.Cut(option, "=")
	if name == "" {
		return errors.New("volume-opt= is empty")
	}
	if m.Driver == nil {
		m.Driver = map[string]string{}
	}
	m.Driver[name] = value
	return nil
}

// toggle takes an option of --mount that is true alone, or true or false.
func (m *Mount) toggle(name, value string, given bool) error {
	on := true
	if given {
		var err error
		if on, err = strconv.ParseBool(value); err != nil {
			return fmt.Errorf("%q is neither true nor false in %q", value, name+"="+value)
		}
	}
	either := func(yes, no string) {
		if !on {
			yes = no
		}
		m.Options = append(m.Options, yes)
	}
	switch name {
	case "readonly", "ro":
		either("ro", "rw")
	case "rw", "readwrite":
		either("rw", "ro")
	case "bind-nonrecursive":
		either("bind", "rbind")
	case "U", "chown":
		m.Chown = on
	case "volume-nocopy", "nocopy":
		m.NoCopy = on
	case "nocreate":
		m.NoCreate = on
	case "no-dereference":
		m.NoDereference = on
	}
	return nil
}

// option takes one option of -v or --tmpfs.
func (m *Mount) option(opt string) error {
	onHost := m.Type == MountBind || m.Type == MountVolume || m.Type == MountGlob
	name, value, given := strings.Cut(opt, "=")
	switch {
	case isMountFlag(opt):
		m.Options = append(m.Options, opt)
		return nil
	case onHost && slices.Contains([]string{"bind", "rbind", "shared", "rshared", "slave", "rslave", "private", "rprivate", "unbindable", "runbindable"}, opt):
		m.Options = append(m.Options, opt)
		return nil
	case onHost && (opt == "z" || opt == "Z"):
		if m.Relabel != "" && m.Relabel != opt {
			return errors.New("z and Z exclude each other")
		}
		m.Relabel = opt
		return nil
	case opt == "U":
		m.Chown = true
		return nil
	case onHost && opt == "O":
		m.Overlay = true
		return nil
	case onHost && (name == "upperdir" || name == "workdir"):
		if !path.IsAbs(value) {
			return fmt.Errorf("%q is not an absolute path in %q", value, opt)
		}
		if name == "upperdir" {
			m.Upper = value
		} else {
			m.Work = value
		}
		return nil
	case onHost && opt == "copy":
		m.NoCopy = false
		return nil
	case onHost && opt == "nocopy":
		m.NoCopy = true
		return nil
	case m.Type == MountVolume && opt == "nocreate":
		m.NoCreate = true
		return nil
	case onHost && slices.Contains([]string{"cached", "delegated", "consistent"}, opt):
		return nil // of Docker on other systems than Linux; Podman takes them, too
	case onHost && name == "idmap":
		return m.mapped(value, given)
	}
	return m.newOption(opt)
}

// newOption takes an option of a file system that the mount makes, such as a tmpfs.
func (m *Mount) newOption(opt string) error {
	name, value, given := strings.Cut(opt, "=")
	switch {
	case m.Type == MountTmpfs && opt == "tmpcopyup":
		m.NoCopy = false
		return nil
	case m.Type == MountTmpfs && opt == "notmpcopyup":
		m.NoCopy = true
		return nil
	case (m.Type == MountTmpfs || m.Type == MountRamfs) && name == "size" && given:
		if strings.HasSuffix(value, "%") && m.Type == MountTmpfs {
			if n, err := strconv.ParseUint(strings.TrimSuffix(value, "%"), 10, 31); err != nil || n == 0 {
				return fmt.Errorf("size %q is not a share of the memory, such as 50%%", value)
			}
		} else if n, err := units.RAMInBytes(value); err != nil || n < 0 {
			return fmt.Errorf("size %q is not a size, such as 512m", value)
		}
		m.Options = append(m.Options, opt)
		return nil
	case (m.Type == MountTmpfs || m.Type == MountDevpts || m.Type == MountRamfs) && (name == "mode" || name == "ptmxmode" && m.Type == MountDevpts) && given:
		if n, err := strconv.ParseUint(value, 8, 32); err != nil || n > 0o7777 {
			return fmt.Errorf("%s %q is not an octal mode, such as 1777", name, value)
		}
		m.Options = append(m.Options, opt)
		return nil
	case given && ((m.Type == MountTmpfs || m.Type == MountDevpts) && (name == "uid" || name == "gid") ||
		m.Type == MountTmpfs && (name == "nr_inodes" || name == "nr_blocks") || m.Type == MountDevpts && name == "max"):
		if _, err := units.RAMInBytes(value); err != nil {
			return fmt.Errorf("%s %q is not a number", name, value)
		}
		m.Options = append(m.Options, opt)
		return nil
	case m.Type == MountDevpts && opt == "newinstance":
		m.Options = append(m.Options, opt)
		return nil
	case m.Type == MountTmpfs && opt == "noswap", m.Type == MountTmpfs && name == "mpol" && given, m.Type == MountTmpfs && name == "huge" && given:
		m.Options = append(m.Options, opt)
		return nil
	}
	return fmt.Errorf("%q is not an option of a %s mount", opt, m.Type)
}

// MountIDs maps Size IDs of a file system, from FS on, to others for a mount: to the machine's from
// To on, or, with Inside, to the container's.
type MountIDs struct {
	FS, To, Size uint32
	Inside       bool `json:",omitempty"`
}

// mapped takes the option idmap. given says that it has mappings of its own: uids=[@]FS-TO-SIZE#...
// and gids=, with ; between. Source: podman-run(1), --volume, idmap.
func (m *Mount) mapped(value string, given bool) error {
	m.IDMap = true
	if !given {
		return nil
	}
	for part := range strings.SplitSeq(value, ";") {
		name, list, _ := strings.Cut(part, "=")
		to := map[string]*[]MountIDs{"uids": &m.UIDMap, "gids": &m.GIDMap}[name]
		if to == nil {
			return fmt.Errorf("idmap: %q is neither uids= nor gids=", part)
		}
		for one := range strings.SplitSeq(list, "#") {
			ids, err := parseMountIDs(one)
			if err != nil {
				return fmt.Errorf("idmap: %s: %w", name, err)
			}
			*to = append(*to, ids)
		}
	}
	return nil
}

func parseMountIDs(s string) (ids MountIDs, err error) {
	numbers, inside := strings.CutPrefix(s, "@")
	ids.Inside = inside
	parts := strings.Split(numbers, "-")
	if len(parts) != 3 {
		return ids, fmt.Errorf("%q is not [@]FROM-TO-SIZE, such as 0-1000-10", s)
	}
	for i, to := range []*uint32{&ids.FS, &ids.To, &ids.Size} {
		n, err := strconv.ParseUint(parts[i], 10, 32)
		if err != nil {
			return ids, fmt.Errorf("%q is not a number in %q", parts[i], s)
		}
		*to = uint32(n)
	}
	if ids.Size == 0 || ids.FS+ids.Size-1 < ids.FS || ids.To+ids.Size-1 < ids.To {
		return ids, fmt.Errorf("%q maps nothing, or goes beyond the last ID", s)
	}
	return ids, nil
}

func (m *Mount) destination(s string) error {
	if !path.IsAbs(s) {
		return fmt.Errorf("%q is not an absolute path inside the container", s)
	}
	m.Destination = path.Clean(s)
	if m.Destination == "/" {
		return errors.New("a mount cannot take the place of the root directory")
	}
	return nil
}

// finish judges the options together.
func (m *Mount) finish() error {
	for _, pair := range [][2]string{{"ro", "rw"}, {"exec", "noexec"}, {"suid", "nosuid"}, {"dev", "nodev"}, {"bind", "rbind"}} {
		if slices.Contains(m.Options, pair[0]) && slices.Contains(m.Options, pair[1]) {
			return fmt.Errorf("%s and %s exclude each other", pair[0], pair[1])
		}
	}
	if (m.Upper != "") != (m.Work != "") {
		return errors.New("upperdir= and workdir= go together")
	}
	if m.Upper != "" && !m.Overlay {
		return errors.New("upperdir= and workdir= need the option O")
	}
	if m.Source == "" && (m.NoCreate || len(m.Driver) > 0) {
		return errors.New("nocreate and volume-opt are for a volume with a name")
	}
	if m.NoDereference && (m.IDMap || m.Overlay || m.Chown || m.Subpath != "") {
		return errors.New("no-dereference does not go together with U, O, idmap and subpath")
	}
	if m.IDMap && (m.Chown || m.Overlay) {
		return errors.New("idmap does not go together with U and O")
	}
	if m.Overlay && (m.Relabel != "" && m.Chown) {
		return errors.New("O does not go together with both U and a label")
	}
	return nil
}

func isMountFlag(s string) bool {
	switch s {
	case "ro", "rw", "exec", "noexec", "suid", "nosuid", "dev", "nodev", "sync", "async", "dirsync", "atime", "noatime",
		"diratime", "nodiratime", "relatime", "norelatime", "strictatime", "nostrictatime":
		return true
	}
	return false
}

func opposite(flag string) string {
	switch flag {
	case "ro":
		return "rw"
	case "rw":
		return "ro"
	case "sync":
		return "async"
	}
	if s, ok := strings.CutPrefix(flag, "no"); ok {
		return s
	}
	return "no" + flag
}

func splitOptions(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

// splitColons splits at colons; \: is a colon that does not split.
func splitColons(s string) []string {
	var parts []string
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s) && s[i+1] == ':':
			i++
			b.WriteByte(':')
		case s[i] == ':':
			parts = append(parts, b.String())
			b.Reset()
		default:
			b.WriteByte(s[i])
		}
	}
	return append(parts, b.String())
}
