// SPDX-License-Identifier: Apache-2.0

package play

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/safe"
	"github.com/podunit/podunit/runner/spec"
	"github.com/podunit/podunit/runner/volume"
	"golang.org/x/sys/unix"
)

// claimOptions are those of the volume of a claim.
func claimOptions(c *kube.Claim) (volume.Options, error) {
	o := volume.Options{Labels: c.Labels}
	return o, o.Read(c.Options)
}

// hostPaths checks the paths of the machine that a plan needs, and the sources of its claims. It
// makes nothing.
func hostPaths(plan *kube.Plan, rootless bool) error {
	var errs []error
	for i := range plan.Claims {
		c := &plan.Claims[i]
		o, err := claimOptions(c)
		driver := cmp.Or(c.Driver, "local")
		if err := errors.Join(err, volume.CheckDriver(driver), o.Check(driver, rootless)); err != nil {
			errs = append(errs, fmt.Errorf("claim %s: %w", c.Name, err))
		}
	}
	for _, p := range plan.Pods {
		for _, v := range p.Volumes {
			if v.Kind == kube.VolumeHost {
				if err := hostPath(v); err != nil {
					errs = append(errs, fmt.Errorf("pod %s, volume %s: %w", p.Name, v.Name, err))
				}
			}
		}
	}
	return errors.Join(errs...)
}

// hostKinds are the file types that a hostPath can demand, with their names.
var hostKinds = map[kube.HostCheck]struct {
	want fs.FileMode
	name string
}{
	kube.HostDir: {fs.ModeDir, "a directory"}, kube.HostMakeDir: {fs.ModeDir, "a directory"},
	kube.HostSocket: {fs.ModeSocket, "a socket"}, kube.HostCharDevice: {fs.ModeDevice | fs.ModeCharDevice, "a character device"},
	kube.HostBlockDev: {fs.ModeDevice, "a block device"},
}

func hostPath(v *kube.Volume) error {
	st, err := os.Stat(v.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		switch v.Check {
		case kube.HostMakeDir:
			return nil
		case kube.HostMakeFile:
			if _, err := os.Stat(filepath.Dir(v.Path)); err != nil {
				return hint.With(err, "mkdir -p %s", filepath.Dir(v.Path))
			}
			return nil
		case kube.HostExists, kube.HostDir:
			return hint.With(err, "mkdir -p %s, or write type: DirectoryOrCreate", v.Path)
		}
		return err
	case err != nil:
		return err
	}
	if kind, ok := hostKinds[v.Check]; ok {
		if st.Mode().Type() != kind.want {
			return fmt.Errorf("%s is not %s", v.Path, kind.name)
		}
	} else if v.Check != kube.HostExists && st.IsDir() {
		return fmt.Errorf("%s is a directory, and not a file", v.Path)
	}
	return nil
}

// makeHostPath makes a missing directory or file; the container's root owns it.
func makeHostPath(v *kube.Volume) error {
	if err := hostPath(v); err != nil {
		return err
	}
	switch v.Check {
	case kube.HostMakeDir:
		return os.MkdirAll(v.Path, 0o755)
	case kube.HostMakeFile:
		// What is there, perhaps since a moment ago, is not opened: it may be a pipe, or a link to
		// elsewhere.
		f, err := os.OpenFile(v.Path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if errors.Is(err, fs.ErrExist) {
			return nil
		}
		if err != nil {
			return err
		}
		return f.Close()
	}
	return nil
}

// archives looks at the archives that claims name whose volumes are to be made, before anything is
// made.
func (w *work) archives(plan *kube.Plan) error {
	var errs []error
	for i := range plan.Claims {
		c := &plan.Claims[i]
		if _, err := w.Player.volumes.Get(c.Name); c.Import == "" || err == nil {
			continue
		}
		st, err := os.Stat(c.Import)
		if err == nil && !st.Mode().IsRegular() {
			err = fmt.Errorf("%s is not a file", c.Import)
		}
		if err != nil {
			errs = append(errs, hint.With(fmt.Errorf("claim %s: %w", c.Name, err), "put the archive there, or take volume.podman.io/import-source out"))
		}
	}
	return errors.Join(errs...)
}

// claims makes the named volumes that are missing.
func (w *work) claims(ctx context.Context, plan *kube.Plan) error {
	for i := range plan.Claims {
		c := &plan.Claims[i]
		if c.Host != "" {
			continue
		}
		o, err := claimOptions(c)
		if c.Import != "" {
			o.Fill = func(dir string) error { return unpack(dir, c.Import) }
		}
		if err == nil {
			_, err = w.Player.volumes.Create(c.Name, o)
		}
		if errors.Is(err, volume.ErrExists) {
			continue
		}
		if err != nil {
			return fmt.Errorf("claim %s: %w", c.Name, err)
		}
		w.volumes = append(w.volumes, c.Name)
		w.st.Volumes = append(w.st.Volumes, c.Name)
	}
	if len(w.volumes) > 0 {
		return w.save()
	}
	return ctx.Err()
}

// unpack unpacks an archive into a directory.
func unpack(dir, archive string) error {
	// Not one that has become a pipe since somebody looked.
	f, err := os.OpenFile(archive, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return errors.Join(err, fmt.Errorf("%s: %w", archive, safe.ErrNotRegular))
	}
	return volume.Unpack(dir, f)
}

// prepareVolumes makes the volumes of a pod that these containers use, and that are not there yet.
func (w *work) prepareVolumes(ctx context.Context, r pod.Record, p *kube.Pod, list []*kube.Container) error {
	for _, v := range p.Volumes {
		has := func(c *kube.Container) bool {
			return slices.ContainsFunc(c.Mounts, func(m kube.Mount) bool { return m.Volume == v.Name })
		}
		if !slices.ContainsFunc(list, has) {
			continue
		}
		var err error
		switch v.Kind {
		case kube.VolumeEmpty:
			err = w.makeEmpty(r, p, v)
		case kube.VolumeHost:
			err = makeHostPath(v)
		case kube.VolumeFiles:
			_, lerr := os.Lstat(filepath.Join(w.store.podFiles(r.ID), v.Name))
			goesOn := slices.ContainsFunc(p.Containers, func(c *kube.Container) bool {
				return c.Role != kube.Init && !slices.Contains(list, c) && slices.ContainsFunc(append(p.Givers(c), c), has)
			})
			if lerr == nil && goesOn {
				continue // it has the old directory mounted, and would lose its files, which are the same
			}
			err = w.writeVolume(r, p, v, w.facts(w.st, r, p))
		case kube.VolumeClaim:
			err = w.makeClaim(ctx, r, p, v)
		}
		if err != nil {
			return fmt.Errorf("volume %s: %w", v.Name, err)
		}
	}
	return nil
}

func (w *work) makeEmpty(r pod.Record, p *kube.Pod, v *kube.Volume) error {
	dir := filepath.Join(w.store.podData(r.ID), "empty", v.Name)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	m, err := w.idsOf(r, p)
	if err != nil {
		return err
	}
	return own(dir, p, v, m, 0o777)
}

// own gives a directory its mode, and makes the pod's root its owner, and fsGroup its group if the
// pod has one.
func own(dir string, p *kube.Pod, v *kube.Volume, m ids, mode uint32) error {
	uid, gid := m.root()
	if p.FSGroup != nil && v.FSGroup {
		var err error
		if gid, err = m.group(p); err != nil {
			return err
		}
		mode |= unix.S_ISGID
	}
	if err := os.Chown(dir, uid, gid); err != nil {
		return err
	}
	return unix.Chmod(dir, mode)
}

// makeClaim makes the volume of a claim without a document.
func (w *work) makeClaim(ctx context.Context, r pod.Record, p *kube.Pod, v *kube.Volume) error {
	got, made, err := w.ensureClaim(ctx, v)
	if err != nil {
		return err
	}
	if made {
		w.mu.Lock()
		w.volumes, w.st.Volumes = append(w.volumes, v.Claim), append(w.st.Volumes, v.Claim)
		w.mu.Unlock()
	}
	if p.FSGroup == nil || !v.FSGroup {
		return nil
	}
	m, err := w.idsOf(r, p)
	if err != nil {
		return err
	}
	gid, err := m.group(p)
	if err != nil {
		return err
	}
	return giveGroup(got.Dir, gid, p.FSGroupOnRootMismatch)
}

// ensureClaim gives the volume of a claim.
func (w *work) ensureClaim(ctx context.Context, v *kube.Volume) (got *volume.Volume, made bool, err error) {
	if len(v.Options) == 0 {
		return w.Player.volumes.Ensure(ctx, v.Claim, volume.Options{})
	}
	got, err = w.Player.volumes.Create(v.Claim, volume.Options{Options: v.Options})
	if errors.Is(err, volume.ErrExists) {
		if got, err = w.Player.volumes.Get(v.Claim); err == nil && !maps.Equal(got.Options, v.Options) {
			err = hint.With(fmt.Errorf("the volume %s is there, and stands for something else", v.Claim), "podunit volume rm %s, or give the pod's volume another name", v.Claim)
		}
		return got, false, err
	}
	return got, err == nil, err
}

// giveGroup gives a tree to a group that may write all of it, as Kubernetes does. Links are not
// followed: containers may be at work in there.
func giveGroup(dir string, gid int, onMismatch bool) error {
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil {
		return err
	}
	if onMismatch && int(st.Gid) == gid && st.Mode&(unix.S_ISGID|0o060) == unix.S_ISGID|0o060 {
		return nil
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink != 0 {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		mode := info.Mode()&(fs.ModePerm|fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky) | 0o660
		if d.IsDir() {
			mode |= 0o110 | fs.ModeSetgid
		}
		return errors.Join(root.Lchown(name, -1, gid), root.Chmod(name, mode))
	})
}

// writeVolume writes the files of a volume below a fresh directory in memory, which takes the place
// of an older one: a key that is gone has no file any more.
func (w *work) writeVolume(r pod.Record, p *kube.Pod, v *kube.Volume, facts kube.Facts) error {
	dir := w.store.podFiles(r.ID)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	m, err := w.idsOf(r, p)
	if err != nil {
		return err
	}
	fresh, err := os.MkdirTemp(dir, ".new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(fresh) // gone by then, if all went well
	root, err := os.OpenRoot(fresh)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, f := range v.Files {
		data, err := f.Content(facts)
		if err != nil {
			return fmt.Errorf("file %s: %w", f.Path, err)
		}
		if err := root.MkdirAll(path.Dir(f.Path), 0o755); err != nil {
			return err
		}
		if err := root.WriteFile(f.Path, data, 0o600); err != nil {
			return err
		}
		mode := fs.FileMode(f.Mode)
		uid, gid := m.root()
		if p.FSGroup != nil && v.FSGroup {
			mode |= 0o440
			if gid, err = m.group(p); err != nil {
				return err
			}
		}
		if err := root.Chown(f.Path, uid, gid); err != nil {
			return err
		}
		if err := root.Chmod(f.Path, mode); err != nil {
			return err
		}
	}
	if err := own(fresh, p, v, m, 0o755); err != nil {
		return err
	}
	place := filepath.Join(dir, v.Name)
	if err := os.RemoveAll(place); err != nil {
		return err
	}
	return os.Rename(fresh, place)
}

// place is the path of a volume on this machine.
func (p *Player) place(ctx context.Context, r pod.Record, v *kube.Volume) (string, error) {
	switch v.Kind {
	case kube.VolumeEmpty:
		return filepath.Join(p.store.podData(r.ID), "empty", v.Name), nil
	case kube.VolumeFiles:
		return filepath.Join(p.store.podFiles(r.ID), v.Name), nil
	case kube.VolumeMemory:
		return p.held(r, v)
	case kube.VolumeHost:
		return v.Path, nil
	case kube.VolumeClaim:
		got, _, err := p.volumes.Ensure(ctx, v.Claim, volume.Options{})
		if err != nil {
			return "", err
		}
		return got.Dir, nil
	}
	return "", fmt.Errorf("volume %s: nothing here is of kind %s", v.Name, v.Kind)
}

// readIn reads a file of a volume. It follows no link out of the volume.
func (p *Player) readIn(r pod.Record, one *kube.Pod, name, file string) ([]byte, error) {
	for _, v := range one.Volumes {
		if v.Name == name {
			dir, err := p.place(context.Background(), r, v)
			if err != nil {
				return nil, err
			}
			return safe.ReadInRoot(dir, file, 1<<20)
		}
	}
	return nil, fmt.Errorf("there is no volume %s", name)
}

// mounts are the mounts of a container, with the paths of their volumes, and the file for its
// termination message.
func (p *Player) mounts(ctx context.Context, r pod.Record, one *kube.Pod, c *kube.Container, list []kube.Mount) ([]spec.Mount, error) {
	out, err := p.volumeMounts(ctx, r, one, c, list)
	if err != nil {
		return nil, err
	}
	return p.messageMount(r, c, out)
}

// volumeMounts are the mounts of a container, with the paths of their volumes.
func (p *Player) volumeMounts(ctx context.Context, r pod.Record, one *kube.Pod, c *kube.Container, list []kube.Mount) ([]spec.Mount, error) {
	out := slices.Clone(c.Spec.Mounts)
	for _, m := range list {
		i := slices.IndexFunc(one.Volumes, func(v *kube.Volume) bool { return v.Name == m.Volume })
		if i < 0 {
			return nil, fmt.Errorf("container %s: there is no volume %s", c.Name, m.Volume)
		}
		v := one.Volumes[i]
		if v.ReadOnly || v.Kind == kube.VolumeFiles {
			m.ReadOnly = true
		}
		if m.RecursiveReadOnly == "IfPossible" && recursive() {
			m.RecursiveReadOnly = "Enabled"
		}
		if v.Kind == kube.VolumeImage {
			out = append(out, imageMount(m, v))
			continue
		}
		dir, err := p.place(ctx, r, v)
		if err != nil {
			return nil, err
		}
		out = append(out, volumeMount(m, v, dir))
	}
	return out, nil
}

// recursive tells whether the kernel can make a mount and all below it read-only in one call: Linux
// 5.12.
func recursive() bool {
	return !errors.Is(unix.MountSetattr(-1, "", 0, &unix.MountAttr{}), unix.ENOSYS) // which changes nothing
}

// imageMount is the mount of an image's files: nobody writes or executes them. Source: kubernetes.io,
// Use an Image Volume With a Pod.
func imageMount(m kube.Mount, v *kube.Volume) spec.Mount {
	s := m.Spec(v.Image)
	s.Type, s.Chown, s.Overlay = spec.MountImage, false, false
	for _, o := range []string{"ro", "noexec"} {
		if !slices.Contains(s.Options, o) {
			s.Options = append(s.Options, o)
		}
	}
	s.Options = slices.DeleteFunc(s.Options, func(o string) bool { return o == "rw" })
	if m.SubPath != "" {
		s.Subpath = path.Join("/", m.SubPath)
	}
	return s
}

// volumeMount is the mount of a volume that lies in dir. A subPath is only named here and opened
// when it is mounted: other containers of the volume may put links there until then.
func volumeMount(m kube.Mount, v *kube.Volume, dir string) spec.Mount {
	s := m.Spec(dir)
	if v.Kind == kube.VolumeClaim {
		s.Type, s.Source = spec.MountVolume, v.Claim
	}
	if m.SubPath != "" {
		s.Subpath = path.Join("/", m.SubPath)
		s.MakeSubpath = !m.ReadOnly && v.Kind != kube.VolumeFiles
		s.NoCopy = s.NoCopy || v.Kind == kube.VolumeClaim // what the image has there would go into the whole volume, and this is a part of it
	}
	return s
}

// messagePath is the file for a container's termination message.
func (p *Player) messagePath(podID, name string) string {
	return filepath.Join(p.store.podData(podID), "messages", name)
}

// messageMount mounts the file for a container's termination message, which is empty at each start.
func (p *Player) messageMount(r pod.Record, c *kube.Container, all []spec.Mount) ([]spec.Mount, error) {
	if c.MessagePath == "" || slices.ContainsFunc(all, func(m spec.Mount) bool { return path.Clean(m.Destination) == path.Clean(c.MessagePath) }) {
		return all, nil
	}
	file := p.messagePath(r.ID, c.Name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.RemoveAll(file)); err != nil {
		return nil, err
	}
	if err := safe.Replace(file, nil, 0o600); err != nil {
		return nil, err
	}
	if err := os.Chmod(file, 0o666); err != nil {
		return nil, err
	}
	return append(all, spec.Mount{Type: spec.MountBind, Source: file, Destination: c.MessagePath, Options: []string{"bind", "rprivate"}}), nil
}
