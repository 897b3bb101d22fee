// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	encryption "github.com/containers/ocicrypt/config"
	"github.com/containers/ocicrypt/helpers"
	"github.com/opencontainers/go-digest"
	"github.com/podunit/podunit/runner/image"
	"github.com/podunit/podunit/runner/image/download"
	"github.com/podunit/podunit/runner/step"
	ours "github.com/podunit/podunit/runner/store"
	"go.podman.io/common/libimage"
	"go.podman.io/common/libimage/platform"
	"go.podman.io/common/pkg/config"
	"go.podman.io/common/pkg/retry"
	"go.podman.io/image/v5/copy"
	"go.podman.io/image/v5/docker"
	"go.podman.io/image/v5/docker/reference"
	"go.podman.io/image/v5/manifest"
	"go.podman.io/image/v5/pkg/blobcache"
	"go.podman.io/image/v5/pkg/shortnames"
	"go.podman.io/image/v5/signature"
	istorage "go.podman.io/image/v5/storage"
	"go.podman.io/image/v5/transports/alltransports"
	"go.podman.io/image/v5/types"
	"go.podman.io/storage"
	"golang.org/x/sys/unix"
)

// Transport has other transports than a registry's get an image. What is left of the name is
// one for a registry.
func (im ecosystem) Transport(ctx context.Context, name string, o image.PullOptions) (string, *image.Image, error) {
	t := alltransports.TransportFromImageName(name)
	if t == nil {
		return name, nil, nil
	}
	switch rest, remote := strings.CutPrefix(name, "docker://"); {
	case remote:
		// As podman has it, what is written with docker:// is never short.
		named, err := reference.ParseDockerRef(rest)
		if err != nil {
			return "", nil, &image.Error{Name: name, Err: err, Way: "docker://[REGISTRY/]REPOSITORY[:TAG][@DIGEST]"}
		}
		return named.String(), nil, nil
	case t.Name() == istorage.Transport.Name():
		img, err := im.Lookup(ctx, name)
		return "", img, err
	case t.Name() != docker.Transport.Name(): // docker:latest is a name and a tag
		img, err := im.read(ctx, name, o)
		return "", img, err
	}
	return name, nil, nil
}

// PullNamed resolves a name and pulls the first candidate that can be had.
func (im ecosystem) PullNamed(ctx context.Context, name string, local *image.Image, damaged *image.CorruptError, o image.PullOptions) (*image.Image, error) {
	if damaged != nil {
		o.Logf("%s; pulling it anew", damaged)
		if err := im.dropDamaged(damaged); err != nil {
			return nil, &image.Error{Name: name, Err: err, Way: damaged.Hint()}
		}
	}
	if err := ours.JudgeRegistries(); err != nil {
		return nil, &image.Error{Name: name, Err: err, Way: "see containers-registries.conf(5)"}
	}
	sys, err := systemContext(o, im.base)
	if err != nil {
		return nil, err
	}
	source := name
	if local != nil && local.Name != "" && o.OS+o.Arch+o.Variant == "" {
		source = local.Name // a short name that the storage knows is no longer short
	}
	resolved, err := shortnames.Resolve(sys, withoutTag(source))
	if err != nil {
		if local != nil && o.Policy == image.PullNewer {
			return local, nil
		}
		return nil, unresolved(name, err)
	}
	if text := resolved.Description(); text != "" {
		o.Logf("%s", text)
	}
	if o.Online != nil {
		if err := o.Online(ctx); err != nil {
			return nil, err
		}
	}
	var faults []error
	for _, candidate := range resolved.PullCandidates {
		img, err := im.pullOne(ctx, candidate.Value, local, sys, o)
		if err == nil {
			if err := candidate.Record(); err != nil {
				o.Logf("the short name is not remembered: %v", err)
			}
			im.tell("pull", img.ID, candidate.Value.String())
			return img, nil
		}
		faults = append(faults, explain(candidate.Value.String(), reference.Domain(candidate.Value), err))
		if ctx.Err() != nil {
			break
		}
	}
	if local != nil && o.Policy == image.PullNewer && ctx.Err() == nil {
		o.Logf("keeping the image in the storage: %v", errors.Join(faults...))
		return local, nil
	}
	if len(faults) == 1 {
		return nil, faults[0]
	}
	return nil, errors.Join(faults...)
}

// pullOne pulls a full name.
func (im *Images) pullOne(ctx context.Context, named reference.Named, local *image.Image, sys *types.SystemContext, o image.PullOptions) (*image.Image, error) {
	src, err := docker.NewReference(named)
	if err != nil {
		return nil, err
	}
	dst, err := istorage.Transport.NewStoreReference(im.store, named, "")
	if err != nil {
		return nil, err
	}
	var img *image.Image
	err = download.WithLock(ctx, im.runDir, named.String()+" "+o.Platform(), o.Interval, o.Report, func(lock *download.Lock, waited bool) error {
		if waited && o.Policy == image.PullMissing {
			if img, err = im.Lookup(ctx, named.String()); err == nil && o.Suits(img) {
				return nil
			}
		}
		report := func(p image.Progress) {
			lock.Write(p)
			if o.Report != nil {
				o.Report(p)
			}
		}
		ref, err := im.pullLocked(ctx, named, src, dst, local, sys, o, report)
		if err == nil {
			img, err = im.pulled(ref, named, o)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return img, nil
}

// pullLocked does the work of pullOne while nobody else pulls the same.
func (im *Images) pullLocked(ctx context.Context, named reference.Named, src, dst types.ImageReference, local *image.Image, sys *types.SystemContext, o image.PullOptions, report func(image.Progress)) (types.ImageReference, error) {
	conf, err := ours.DefaultConf()
	if err != nil {
		return nil, fmt.Errorf("containers.conf: %w", err)
	}
	im.collectOld(ctx)
	begun := time.Now()
	var work *download.Dir // last, for whoever makes it closes it
	own, err := download.Open(im.store)
	if err == nil {
		defer own.Close()
		work, err = download.NewDir(ctx, im.store)
	}
	if err != nil {
		if isFull(err) {
			err = &image.FullError{Dir: im.store.GraphRoot()}
		}
		return nil, err
	}
	step.Crash("pull begun")
	defer marking(im.store, own)()
	sys.BigFilesTemporaryDir = work.Path
	m := newMeter(work, named.String(), reference.Domain(named), o.Stall)
	m.layers = download.Begin(own)
	ref, err := m.run(ctx, o.Interval, report, func(ctx context.Context) (types.ImageReference, error) {
		return im.attempts(ctx, src, dst, sys, conf, local, m, o)
	})
	switch {
	case errors.Is(err, errAbandoned):
		m.layers.Close(true)
		_ = os.RemoveAll(work.Path) // what is open in there, and locked, ends with the process
		return nil, err
	case err != nil && isFull(err):
		work.Close(m.blobs())
		im.dropLayers(ctx, own, m, begun)
		m.layers.Close(im.left(m, begun))
		return nil, im.full(work, err)
	case err != nil:
		work.Close(im.stored(m))
		m.layers.Close(im.left(m, begun))
		return nil, err
	}
	step.Crash("pull stored")
	m.layers.Close(false)
	download.Settle(own, m.blobs())
	work.Close(m.blobs())
	p := m.progress()
	p.Done, p.LayersDone = p.Total, p.Layers
	report(p)
	return ref, nil
}

// pulled loads what a pull has stored, with a word where it is for another machine.
func (im *Images) pulled(ref types.ImageReference, named reference.Named, o image.PullOptions) (*image.Image, error) {
	_, stored, err := istorage.ResolveReference(ref)
	if err != nil {
		return nil, image.Unknown(err)
	}
	img, err := im.Load(stored, named.String())
	if err == nil && img.Config.Architecture != "" && !strings.HasPrefix(o.Platform()+"/", img.Config.OS+"/"+img.Config.Architecture+"/") {
		o.Logf("%s is for %s, not for %s", named, img.Platform(), o.Platform())
	}
	return img, err
}

// full says which disk it was: downloads are written by this process, whose error has
// the path, and the storage by another one, whose error hasn't.
func (im *Images) full(w *download.Dir, err error) error {
	var path *fs.PathError
	// Where downloads lie in the storage, that is what is full.
	if errors.As(err, &path) && strings.HasPrefix(path.Path, w.Path) && !strings.HasPrefix(path.Path, im.store.GraphRoot()+"/") {
		return &image.FullError{Dir: filepath.Dir(filepath.Dir(w.Path))}
	}
	return &image.FullError{Dir: im.store.GraphRoot()}
}

// attempts copies, again when a fault may pass, and gives the reference of what was
// stored.
func (im *Images) attempts(ctx context.Context, src, dst types.ImageReference, sys *types.SystemContext, conf *config.Config, local *image.Image, m *meter, o image.PullOptions) (types.ImageReference, error) {
	policy, err := signature.DefaultPolicy(sys)
	if err != nil {
		return nil, err
	}
	allowed, err := signature.NewPolicyContext(policy)
	if err != nil {
		return nil, err
	}
	defer func() { _ = allowed.Destroy() }() // it only frees memory

	if o.Policy == image.PullNewer && local != nil {
		if d, err := docker.GetDigest(ctx, sys, src); err == nil && has(local, d) {
			return istorage.Transport.NewStoreReference(im.store, nil, local.ID)
		}
	}

	var stored types.ImageReference
	options := copy.Options{
		SourceCtx: sys, DestinationCtx: sys,
		Progress: m.events, ProgressInterval: download.Look,
		MaxParallelDownloads:    conf.Engine.ImageParallelCopies,
		ReportResolvedReference: &stored,
	}
	if options.OciDecryptConfig, err = decryption(o); err != nil {
		return nil, err
	}
	tries, delay := retries(o, conf)
	for n, taken := 0, 0; ; n++ {
		m.attempt()
		from := src
		if m.work.Resume() {
			// It reads the blobs that an earlier pull has left from their files.
			if from, err = blobcache.NewBlobCache(src, m.work.Blobs, types.PreserveOriginal); err != nil {
				return nil, err
			}
		}
		_, err := copy.Image(ctx, allowed, dst, from, &options)
		if err == nil {
			return stored, nil
		}
		if strings.Contains(err.Error(), "no image found in ") {
			return nil, im.platforms(ctx, src, sys, o, err)
		}
		if ctx.Err() == nil && taken < maxTaken && stagingTaken(err) {
			n, taken = n-1, taken+1
			continue
		}
		if ctx.Err() != nil || n >= tries || !passing(o, err) {
			return nil, err
		}
		wait := delay
		if wait == 0 {
			wait = time.Second << n
		}
		fault := explain("", reference.Domain(src.DockerReference()), err)
		o.Logf("%s; trying again in %s (%d of %d)", strings.TrimPrefix(fault.Error(), ": "), wait, n+1, tries)
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(wait):
		}
	}
}

// maxTaken is how often one pull goes on after its layer was taken away.
const maxTaken = 3

// stagingTaken reports whether somebody else has removed the directory into which a layer was being
// unpacked. The library makes it beside a lock; between the lock's file and the lock on it, who
// tidies up takes the file for one that is left over, and the next one then the directory. The
// process that unpacks tells as text that its root directory is gone: one pull of 600 beside
// removals, in the lab.
func stagingTaken(err error) bool {
	text := err.Error()
	return strings.Contains(text, "unpacking failed") && strings.Contains(text, unix.ENOENT.Error())
}

// passing reports whether it is worth trying again. A refused connection and an
// unknown host are not, unless retries were asked for: a unit that waits four times for
// a registry that isn't there fails late, for nothing.
func passing(o image.PullOptions, err error) bool {
	var dns *net.DNSError
	if o.Retries == nil && (errors.Is(err, unix.ECONNREFUSED) || errors.As(err, &dns) && dns.IsNotFound) {
		return false
	}
	return retry.IsErrorRetryable(err) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, unix.ECONNRESET)
}

func retries(o image.PullOptions, conf *config.Config) (int, time.Duration) {
	n, delay := int(conf.Engine.Retry), o.RetryDelay
	if o.Retries != nil {
		n = *o.Retries
	}
	if delay == 0 && conf.Engine.RetryDelay != "" {
		if d, err := time.ParseDuration(conf.Engine.RetryDelay); err == nil {
			delay = d
		}
	}
	return n, delay
}

// decryption reads the keys for encrypted layers; without any it gives nil.
func decryption(o image.PullOptions) (*encryption.DecryptConfig, error) {
	if len(o.DecryptionKeys) == 0 {
		return nil, nil
	}
	if err := keys(o.DecryptionKeys...); err != nil {
		return nil, fmt.Errorf("decryption key: %w", err)
	}
	crypto, err := helpers.CreateCryptoConfig(nil, o.DecryptionKeys)
	if err != nil {
		return nil, fmt.Errorf("decryption key: %w", err)
	}
	return crypto.DecryptConfig, nil
}

// systemContext adds the options to what the library is told anyway.
func systemContext(o image.PullOptions, base types.SystemContext) (*types.SystemContext, error) {
	sys := &base
	sys.OSChoice, sys.ArchitectureChoice, sys.VariantChoice = o.OS, o.Arch, o.Variant
	sys.AuthFilePath, sys.DockerCertPath = o.AuthFile, o.CertDir
	if o.TLSVerify != nil {
		sys.DockerInsecureSkipTLSVerify = types.NewOptionalBool(!*o.TLSVerify)
	}
	said := "--authfile"
	if sys.AuthFilePath == "" {
		said, sys.AuthFilePath = "REGISTRY_AUTH_FILE", os.Getenv("REGISTRY_AUTH_FILE")
	}
	for _, given := range []struct{ said, path string }{{said, sys.AuthFilePath}, {"--cert-dir", sys.DockerCertPath}} {
		if given.path == "" {
			continue
		}
		if _, err := os.Stat(given.path); err != nil {
			return nil, fmt.Errorf("%s: %w", given.said, err)
		}
	}
	if err := Credentials(sys.AuthFilePath); err != nil {
		return nil, fmt.Errorf("%s: %w", said, err)
	}
	if err := Certificates(sys.DockerCertPath); err != nil {
		return nil, err
	}
	if o.User != "" {
		sys.DockerAuthConfig = &types.DockerAuthConfig{Username: o.User, Password: o.Secret}
	}
	return sys, nil
}

// read reads an image by a transport other than a registry.
func (im *Images) read(ctx context.Context, name string, o image.PullOptions) (*image.Image, error) {
	if _, err := alltransports.ParseImageName(name); err != nil {
		return nil, &image.Error{Name: name, Err: err}
	}
	runtime, err := im.runtime()
	if err != nil {
		return nil, err
	}
	decrypt, err := decryption(o)
	if err != nil {
		return nil, err
	}
	var images []*libimage.Image
	copying := libimage.CopyOptions{OS: o.OS, Architecture: o.Arch, Variant: o.Variant, OciDecryptConfig: decrypt}
	err = im.storing(ctx, copying, func(c libimage.CopyOptions) (err error) {
		images, err = runtime.Pull(ctx, name, config.PullPolicyAlways, &libimage.PullOptions{CopyOptions: c})
		return err
	})
	if err != nil {
		e := explain(name, "", err)
		if errors.Is(err, fs.ErrNotExist) || strings.Contains(err.Error(), "not found") {
			_, path, _ := strings.Cut(name, ":")
			return nil, &image.Error{Name: name, Err: err, Way: "is the path right? " + filepath.Clean(path)}
		}
		return nil, e
	}
	if len(images) == 0 {
		return nil, &image.Error{Name: name, Err: errors.New("there is no image in it")}
	}
	im.tell("pull", images[0].ID(), name)
	return im.Load(images[0].StorageImage(), firstOf(images[0].Names()))
}

// Tags pulls every tag of a repository and gives them in the registry's order.
func (im *Images) Tags(ctx context.Context, name string, o image.PullOptions) ([]*image.Image, error) {
	if t := alltransports.TransportFromImageName(name); t != nil && t.Name() != docker.Transport.Name() {
		return nil, &image.Error{Name: name, Err: errors.New("only a registry has tags"), Way: "without --all-tags it is read as it is"}
	}
	sys, err := systemContext(o, im.base)
	if err != nil {
		return nil, err
	}
	resolved, err := shortnames.Resolve(sys, strings.TrimPrefix(name, "docker://"))
	if err != nil {
		return nil, unresolved(name, err)
	}
	var faults []error
	for _, candidate := range resolved.PullCandidates {
		ref, err := docker.NewReference(reference.TagNameOnly(candidate.Value))
		if err != nil {
			return nil, err
		}
		tags, err := docker.GetRepositoryTags(ctx, sys, ref)
		if err != nil {
			faults = append(faults, explain(name, reference.Domain(candidate.Value), err))
			continue
		}
		var images []*image.Image
		for _, tag := range tags {
			tagged, err := reference.WithTag(reference.TrimNamed(candidate.Value), tag)
			if err != nil {
				return images, err
			}
			img, err := im.Pull(ctx, tagged.String(), o)
			if err != nil {
				return images, err
			}
			images = append(images, img)
		}
		return images, nil
	}
	return nil, errors.Join(faults...)
}

// platforms asks what there is, for an image that is not there for the platform wanted.
func (im *Images) platforms(ctx context.Context, ref types.ImageReference, sys *types.SystemContext, o image.PullOptions, cause error) error {
	src, err := ref.NewImageSource(ctx, sys)
	if err != nil {
		return cause
	}
	defer src.Close()
	raw, mime, err := src.GetManifest(ctx, nil)
	if err != nil {
		return cause
	}
	list, err := manifest.ListFromBlob(raw, mime)
	if err != nil {
		return cause
	}
	e := &image.PlatformError{Want: o.Platform()}
	for _, d := range list.Instances() {
		instance, err := list.Instance(d)
		if err != nil || instance.ReadOnly.Platform == nil || instance.ReadOnly.Platform.OS == "unknown" {
			continue // attestations come under the platform unknown
		}
		p := instance.ReadOnly.Platform
		e.Have = append(e.Have, platform.ToString(p.OS, p.Architecture, p.Variant))
	}
	return e
}

// stored gives the blobs of a pull that are layers in the storage by now.
func (im *Images) stored(m *meter) []digest.Digest {
	var all []digest.Digest
	for _, d := range m.blobs() {
		if layers, err := im.store.LayersByCompressedDigest(d); err == nil && len(layers) > 0 {
			all = append(all, d)
		}
	}
	return all
}

// left reports whether there are layers that a pull may have stored since it began.
func (im *Images) left(m *meter, begun time.Time) bool {
	for _, d := range m.blobs() {
		layers, err := im.store.LayersByCompressedDigest(d)
		if err == nil && slices.ContainsFunc(layers, func(l storage.Layer) bool { return l.Created.After(begun) }) {
			return true
		}
	}
	return false
}

// dropLayers removes the layers that a pull stored before the disk was full. The storage
// refuses to remove what an image, a container or another layer stands on. What was there
// when the pull began stays, and while another pull is under way all does: it may have
// stored the layer, or be about to stand on it.
func (im *Images) dropLayers(ctx context.Context, own *os.Root, m *meter, begun time.Time) {
	_ = download.Alone(context.WithoutCancel(ctx), own, func() error { // what stays is noted
		for again := true; again; {
			again = false
			for _, d := range m.blobs() {
				layers, err := im.store.LayersByCompressedDigest(d)
				if err != nil {
					continue
				}
				for _, l := range layers {
					again = l.Created.After(begun) && im.store.DeleteLayer(l.ID) == nil || again
				}
			}
		}
		return nil
	})
}

// dropDamaged removes the layers of an image that have lost their directories, with those
// above them: a pull would take them for whole. Where a container or another image stands on
// one, the error says so.
func (im *Images) dropDamaged(d *image.CorruptError) error {
	stored, err := im.store.Image(d.ID)
	if err != nil {
		return nil //nolint:nilerr // somebody else has removed it
	}
	var broken string // the lowest of them
	for id := stored.TopLayer; id != ""; {
		l, err := im.store.Layer(id)
		if err != nil {
			break
		}
		if dir := im.LayerDir(l); dir != "" {
			if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
				broken = l.ID
			}
		}
		id = l.Parent
	}
	if broken == "" {
		return nil // the pull replaces what is missing
	}
	ids, err := im.InUse(stored.ID)
	if err != nil {
		return err
	}
	if len(ids) > 0 {
		return fmt.Errorf("%w, and containers stand on it: %s", d, strings.Join(shortAll(ids), ", "))
	}
	im.noting([]storage.Image{*stored}, func() { err = im.dropAbove(stored.ID, broken) })
	if err != nil {
		return fmt.Errorf("%w, and %w", d, err)
	}
	return nil
}

// dropAbove removes an image, a layer of it and those above that, unless another image stands
// on one of them.
func (im *Images) dropAbove(img, broken string) error {
	layers, err := im.store.Layers()
	if err != nil {
		return err
	}
	parent := make(map[string]string)
	for _, l := range layers {
		parent[l.ID] = l.Parent
	}
	above := func(id string) bool {
		for ; id != ""; id = parent[id] {
			if id == broken {
				return true
			}
		}
		return false
	}
	images, err := im.store.Images()
	if err != nil {
		return err
	}
	var others []string
	for _, i := range images {
		if i.ID != img && above(i.TopLayer) {
			others = append(others, nameOf(&i))
		}
	}
	if len(others) > 0 {
		return fmt.Errorf("so are images on the same layer, which must go first: podunit rmi -f %s", strings.Join(others, " "))
	}
	_, err = im.store.DeleteImage(img, true)
	faults := []error{err}
	for range layers {
		for _, l := range layers {
			if above(l.ID) {
				_ = im.store.DeleteLayer(l.ID) // the next round, or the pull, meets it again
			}
		}
		if _, err := im.store.Layer(broken); err != nil {
			break
		}
	}
	if _, err := im.store.Layer(broken); err == nil {
		faults = append(faults, fmt.Errorf("layer %s is damaged, and cannot be removed", image.Short(broken)))
	}
	return remaining(faults)
}

func shortAll(ids []string) []string {
	var out []string
	for _, id := range ids {
		out = append(out, image.Short(id))
	}
	return out
}

// has reports whether a digest is one of the image's.
func has(i *image.Image, d digest.Digest) bool {
	for _, own := range append(i.Digests, i.Digest) {
		if own == d {
			return true
		}
	}
	return false
}

func unresolved(name string, err error) error {
	e := &image.Error{Name: name, Err: err, Way: "see containers-registries.conf(5)"}
	if shortnames.IsShortName(name) {
		full := "docker.io/" + name
		if !strings.Contains(name, "/") {
			full = "docker.io/library/" + name
		}
		e.Way = "write the name in full, with its registry: " + full + ", if Docker Hub is meant"
	}
	return e
}

// withoutTag drops the tag of a name that has a digest, too.
func withoutTag(name string) string {
	if bare, d, ok := strings.Cut(name, "@"); ok {
		return strings.TrimSuffix(bare, image.TagOf(bare)) + "@" + d
	}
	return name
}

func firstOf(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return names[0]
}
