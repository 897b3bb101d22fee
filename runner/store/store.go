// SPDX-License-Identifier: Apache-2.0

// Package store opens the containers storage of the user: the place where images and
// containers lie, shared with podman, buildah and skopeo. Where it is and how it is laid
// out is the ecosystem's business (containers-storage.conf(5)); this package finds
// it, and says plainly what is wrong when it cannot be used.
package store

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/podunit/podunit/runner/safe"
	"go.podman.io/storage"
	drivers "go.podman.io/storage/drivers"
	"go.podman.io/storage/pkg/configfile"
	"go.podman.io/storage/pkg/unshare"
	"go.podman.io/storage/types"
	"golang.org/x/sys/unix"
)

// IDLength is the length of the ID of a container, a pod, an image, or a volume without a name.
const IDLength = 64

// IsID reports whether a word is such an ID from beginning to end.
func IsID(word string) bool {
	return len(word) == IDLength && strings.Trim(word, "0123456789abcdef") == ""
}

// Config says for whom the storage is opened.
type Config struct {
	RunDir   string // the directory for runtime state, as rootless.Identity has it
	Rootless bool   // the user is not root on the host
}

// Error is a storage that cannot be used.
type Error struct {
	Path string // the directory concerned
	Err  error
	hint string
}

func (e *Error) Error() string { return fmt.Sprintf("containers storage %s: %v", e.Path, e.Err) }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Hint is the way out, or "" where the cause says it all.
func (e *Error) Hint() string { return e.hint }

// Open opens the storage that containers-storage.conf(5) describes, or the default one:
// /var/lib/containers/storage for root, ~/.local/share/containers/storage for a user.
// It must run where file owners are seen as containers see them, that is inside the
// user namespace. The result needs no closing. The error is an *Error.
func Open(ctx context.Context, c Config) (storage.Store, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	options, err := Locate(c)
	if err != nil {
		return nil, err
	}
	if name := sharedFS(options.GraphRoot); name != "" {
		return nil, &Error{
			Path: options.GraphRoot,
			Err:  fmt.Errorf("it is on %s, which other machines may mount, too", name),
			hint: "boots, locks and containers of two machines would get mixed up: put the storage on a disk of this machine with graphroot in ~/.config/containers/storage.conf, or /etc/containers/storage.conf for root",
		}
	}
	if err := checkLists(options, c.Rootless); err != nil {
		return nil, err
	}
	_ = keepLinks(options, c.RunDir) // on a disk that is full or read-only, what follows tells
	// When a podunit is killed, the process that unpacks for it lives on for a moment and
	// goes on writing into a directory that the library, here, wants to remove.
	store, err := storage.GetStore(options)
	for begun := time.Now(); err != nil && busy(err) && time.Since(begun) < busyWait; {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
		store, err = storage.GetStore(options)
	}
	if err != nil {
		return nil, explain(options, err)
	}
	return store, nil
}

// network names the file systems that several machines share. Source: linux/magic.h, and
// for those that are not in it statfs(2) and the source of coreutils' stat.
var network = map[int64]string{
	unix.NFS_SUPER_MAGIC:   "NFS",
	unix.SMB_SUPER_MAGIC:   "SMB",
	unix.SMB2_SUPER_MAGIC:  "SMB",
	unix.CIFS_SUPER_MAGIC:  "CIFS",
	unix.AFS_SUPER_MAGIC:   "AFS",
	unix.AFS_FS_MAGIC:      "AFS",
	unix.CODA_SUPER_MAGIC:  "Coda",
	unix.CEPH_SUPER_MAGIC:  "Ceph",
	unix.OCFS2_SUPER_MAGIC: "OCFS2",
	0x01161970:             "GFS2",
	0x0BD00BD0:             "Lustre",
	0x47504653:             "GPFS",
	0x19830326:             "BeeGFS",
}

// sharedFS names the file system of a directory, or of the one in which it is to be made,
// if several machines share it.
func sharedFS(dir string) string {
	for ; ; dir = filepath.Dir(dir) {
		var st unix.Statfs_t
		err := unix.Statfs(dir, &st)
		if err == nil {
			return network[int64(uint32(st.Type))]
		}
		if !errors.Is(err, unix.ENOENT) || dir == filepath.Dir(dir) {
			return "" // who opens it will tell
		}
	}
}

// checkLists finds the lists of the storage that a power cut or a full disk has emptied or
// cut short. The library takes an empty one for a storage without images.
func checkLists(o storage.StoreOptions, rootless bool) error {
	driver := o.GraphDriverName
	if driver == "" {
		driver = "overlay"
	}
	inside := "" // where a user's files are the user's
	if rootless {
		inside = "podunit unshare "
	}
	for _, kind := range []string{"images", "layers", "containers"} {
		path := filepath.Join(o.GraphRoot, driver+"-"+kind, kind+".json")
		whole, err := isList(path)
		if err != nil || whole {
			continue // there is none yet, or the library will tell
		}
		e := &Error{Path: path, Err: errors.New("the list is damaged")}
		if kind == "images" {
			e.hint = fmt.Sprintf("images are pulled again without it, and layers are kept: %smv %s %s.damaged", inside, path, path)
		} else {
			e.hint = fmt.Sprintf("volumes are not concerned; images and containers must go: stop what runs, then %ssh -c 'rm -rf %s/%s*'", inside, o.GraphRoot, driver)
		}
		return e
	}
	return nil
}

// isList looks at the two ends of a file: a list in JSON has brackets there, or is null.
func isList(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return false, err
	}
	const ends = 64 // more than any white space
	head := make([]byte, min(ends, st.Size()))
	tail := make([]byte, len(head))
	if _, err := f.ReadAt(head, 0); err != nil {
		return false, err
	}
	if _, err := f.ReadAt(tail, st.Size()-int64(len(tail))); err != nil {
		return false, err
	}
	head, tail = bytes.TrimSpace(head), bytes.TrimSpace(tail)
	return string(head) == "null" || bytes.HasPrefix(head, []byte("[")) && bytes.HasSuffix(tail, []byte("]")), nil
}

// busyWait is how long a dead podunit's unpacking is waited for.
const busyWait = 5 * time.Second

func busy(err error) bool {
	return errors.Is(err, unix.ENOTEMPTY) || strings.Contains(err.Error(), unix.ENOTEMPTY.Error())
}

// Locate says where the storage is and with which driver, without opening it.
func Locate(c Config) (storage.StoreOptions, error) {
	if c.Rootless && c.RunDir != "" {
		if _, ok := os.LookupEnv("XDG_RUNTIME_DIR"); !ok {
			// The libraries would look for a directory of their own and make one in /tmp.
			os.Setenv("XDG_RUNTIME_DIR", c.RunDir)
		}
	}
	options, err := loaded()
	if err != nil {
		return options, err
	}
	if c.Rootless {
		if err := keepPrivate(c, &options, storageConf()); err != nil {
			return options, err
		}
	}
	chosen, err := Chosen()
	if err != nil {
		return options, err
	}
	chosen.storage(&options)
	return options, nil
}

// loaded is what storage.conf says. The error is an *Error.
func loaded() (storage.StoreOptions, error) {
	err := safe.Settings(storageConf())
	if err != nil {
		return storage.StoreOptions{}, &Error{Path: "storage.conf", Err: err, hint: "see containers-storage.conf(5)"}
	}
	options, err := types.LoadStoreOptions(types.LoadOptions{})
	if err != nil {
		err = &Error{Path: "storage.conf", Err: err, hint: "see containers-storage.conf(5)"}
	}
	return options, err
}

// AutoUser is the name in /etc/subuid and /etc/subgid whose ranges are shared out among root's
// containers with --userns auto: root-auto-userns-user in containers-storage.conf(5).
func AutoUser() (string, error) {
	options, err := loaded()
	return cmp.Or(options.RootAutoNsUser, storage.RootAutoUserNsUser), err
}

// keepPrivate undoes what a system-wide storage.conf said about places. The graphroot
// and runroot written in there are root's; a user has them from a file of their own or
// from rootless_storage_path. Debian's /usr/share/containers/storage.conf names
// /var/lib/containers/storage, and podman 5.4 does not follow it for a user, while
// storage 1.64 does. Source: containers-storage.conf(5), graphroot and
// rootless_storage_path.
func keepPrivate(c Config, options *storage.StoreOptions, file configfile.File) error {
	var graphRoot, runRoot, ownPath bool
	var path string
	for item, err := range configfile.Read(&file) {
		if err != nil {
			return &Error{Path: "storage.conf", Err: err}
		}
		var conf types.TomlConfig
		if _, err := toml.NewDecoder(item.Reader).Decode(&conf); err != nil {
			return &Error{Path: item.Name, Err: err}
		}
		if conf.Storage.RootlessStoragePath != "" {
			path, ownPath = conf.Storage.RootlessStoragePath, true
		}
		if systemFile(item.Name) {
			continue
		}
		graphRoot = graphRoot || conf.Storage.GraphRoot != ""
		runRoot = runRoot || conf.Storage.RunRoot != ""
	}
	switch {
	case graphRoot:
	case ownPath:
		options.GraphRoot = expand(path)
	default:
		options.GraphRoot = filepath.Join(dataHome(), "containers", "storage")
	}
	if !runRoot && c.RunDir != "" {
		options.RunRoot = filepath.Join(c.RunDir, "containers")
	}
	return nil
}

// systemFile reports whether a configuration file speaks for the machine. What is
// written for rootless users (storage.rootless.conf.d) speaks for them.
func systemFile(name string) bool {
	for _, dir := range []string{"/usr/share/containers/", "/etc/containers/"} {
		if rest, ok := strings.CutPrefix(name, dir); ok {
			return !strings.HasPrefix(rest, "storage.rootless.conf.d/")
		}
	}
	return false
}

func expand(path string) string {
	path = strings.ReplaceAll(path, "$UID", fmt.Sprint(unshare.GetRootlessUID()))
	return filepath.Clean(os.ExpandEnv(path))
}

// dataHome is where a user's data goes. Source: the XDG base directory specification.
func dataHome() string {
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return dir
	}
	home, err := unshare.HomeDir()
	if err != nil {
		home = "/"
	}
	return filepath.Join(home, ".local", "share")
}

// driversIn names the storage drivers that have written into a storage.
func driversIn(graphRoot string) []string {
	var names []string
	for name := range drivers.ScanPriorDrivers(graphRoot) {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// explain names the place and the way out for what goes wrong on real machines.
func explain(options storage.StoreOptions, err error) error {
	e := &Error{Path: options.GraphRoot, Err: err}
	// The libraries wrap the path several times; once is enough.
	var path *os.PathError
	for errors.As(e.Err, &path) {
		e.Path, e.Err = path.Path, path.Err
	}
	switch {
	case strings.Contains(err.Error(), "several valid graphdrivers"):
		// The library names a flag of another program.
		e.Err = fmt.Errorf("several storage drivers have written there: %s", strings.Join(driversIn(options.GraphRoot), ", "))
		e.hint = "choose one with driver under [storage] in ~/.config/containers/storage.conf, /etc/containers/storage.conf for root; what the others keep is not seen with it"
	case errors.Is(err, unix.EROFS):
		e.hint = "the file system is read-only; put the storage elsewhere with graphroot in ~/.config/containers/storage.conf"
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		e.hint = "the disk is full; podunit image prune -a removes images that no container uses"
	case errors.Is(err, os.ErrPermission):
		e.hint = "the directory must belong to the user who runs podunit"
	case strings.Contains(err.Error(), "driver"), strings.Contains(err.Error(), "overlay"):
		e.hint = "see driver and [storage.options] in containers-storage.conf(5)"
	}
	return e
}
