// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/containers/ocicrypt/helpers"
	"github.com/opencontainers/go-digest"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/image"
	"github.com/podunit/podunit/runner/image/download"
	"github.com/podunit/podunit/runner/safe"
	ours "github.com/podunit/podunit/runner/store"
	"go.podman.io/common/libimage"
	"go.podman.io/common/libimage/define"
	"go.podman.io/common/pkg/config"
	"go.podman.io/image/v5/copy"
	"go.podman.io/image/v5/docker/reference"
	"go.podman.io/image/v5/manifest"
	"go.podman.io/image/v5/pkg/compression"
	"go.podman.io/image/v5/transports/alltransports"
	"go.podman.io/image/v5/types"
	"go.podman.io/storage"
	"go.podman.io/storage/pkg/archive"
)

// SendOptions say how images are copied out of the storage. With the zero value the ecosystem's
// configuration counts.
type SendOptions struct {
	image.PullOptions        // credentials, certificates, TLS and retries
	Format            string // oci, v2s2 or v2s1; "" leaves it as it is
	Compression       string // gzip, zstd, zstd:chunked; "" is what containers.conf says
	ForceCompression  bool   // also of layers that the registry has in another one
	DropSignatures    bool   // those that the image has
	Uncompressed      bool   // layers of a dir: or oci: destination
	Compressed        bool   // layers of a dir: destination
	CompressionLevel  *int   // what the algorithm makes of it; nil is its usual one
	// SignKey is the path of a sigstore private key that signs, SignBy the name of a key of gpg's,
	// for a signature of the kind "simple signing"; Passphrase is what the key is encrypted with.
	SignKey    string
	SignBy     string
	Passphrase []byte
	// EncryptionKeys are whom layers are encrypted for, PROTOCOL:KEYFILE as in podman-push(1), and
	// EncryptLayers which: numbers from 0, or from -1 backwards; none is all.
	EncryptionKeys []string
	EncryptLayers  []int
	Progress       io.Writer // what is copied, a line each; nil for nothing
}

// copying turns the options into those of the library.
func (o SendOptions) copying() (libimage.CopyOptions, error) {
	c := libimage.CopyOptions{
		AuthFilePath: o.AuthFile, CertDirPath: o.CertDir, Username: o.User, Password: o.Secret,
		RemoveSignatures: o.DropSignatures, OciAcceptUncompressedLayers: o.Uncompressed, Writer: o.Progress,
		DirForceCompress: !o.Uncompressed && (o.Compressed || o.Compression != ""), CompressionLevel: o.CompressionLevel,
		SignBySigstorePrivateKeyFile: o.SignKey, SignSigstorePrivateKeyPassphrase: o.Passphrase,
	}
	if err := o.encryption(&c); err != nil {
		return c, err
	}
	if err := errors.Join(Credentials(o.AuthFile), Certificates(o.CertDir), safe.Ends(o.SignKey, keyLimit)); err != nil {
		return c, err
	}
	if o.TLSVerify != nil {
		c.InsecureSkipTLSVerify = types.NewOptionalBool(!*o.TLSVerify)
	}
	if o.Retries != nil {
		n := uint(max(*o.Retries, 0))
		c.MaxRetries = &n
	}
	if o.RetryDelay > 0 {
		c.RetryDelay = &o.RetryDelay
	}
	switch o.Format {
	case "":
	case "oci":
		c.ManifestMIMEType = imgspecManifest
	case "v2s2", "docker":
		c.ManifestMIMEType = manifest.DockerV2Schema2MediaType
	case "v2s1":
		c.ManifestMIMEType = manifest.DockerV2Schema1SignedMediaType
	default:
		return c, fmt.Errorf("unknown format %q. Choose one of the supported formats: 'oci', 'v2s1', or 'v2s2'", o.Format)
	}
	if err := o.compress(&c); err != nil {
		return c, err
	}
	if o.ForceCompression && o.Compression == "" {
		return c, errors.New("to force a compression, say which")
	}
	c.ForceCompressionFormat = o.ForceCompression
	return c, nil
}

// compress writes into a copy's options how layers are compressed.
func (o SendOptions) compress(c *libimage.CopyOptions) error {
	if o.Compression == "" {
		return nil
	}
	algorithm, err := compression.AlgorithmByName(o.Compression)
	if err != nil {
		return fmt.Errorf("compression %q: %w", o.Compression, err)
	}
	c.CompressionFormat = &algorithm
	return nil
}

// configured fills in what containers.conf(5) says of the compression of layers that are pushed,
// where nobody else does. gzip is what there is anyway.
func (o SendOptions) configured(conf *config.Config) SendOptions {
	if format := conf.Engine.CompressionFormat; o.Compression == "" && !o.Uncompressed && format != compression.Gzip.Name() {
		o.Compression = format
	}
	if o.CompressionLevel == nil {
		o.CompressionLevel = conf.Engine.CompressionLevel
	}
	return o
}

// encryption writes into a copy's options which layers are encrypted, and for whom.
func (o SendOptions) encryption(c *libimage.CopyOptions) error {
	if len(o.EncryptionKeys) == 0 {
		if len(o.EncryptLayers) > 0 {
			return errors.New("to encrypt layers, say for whom: --encryption-key")
		}
		return nil
	}
	if err := keys(o.EncryptionKeys...); err != nil {
		return fmt.Errorf("encryption keys: %w", err)
	}
	crypto, err := helpers.CreateCryptoConfig(o.EncryptionKeys, nil)
	if err != nil {
		return fmt.Errorf("encryption keys: %w", err)
	}
	c.OciEncryptConfig = crypto.EncryptConfig
	c.OciEncryptLayers = &o.EncryptLayers
	return nil
}

// imgspecManifest is the media type of an OCI image's manifest.
const imgspecManifest = "application/vnd.oci.image.manifest.v1+json"

// Push copies an image to a registry, or to where another transport leads. Without a destination it
// goes where its name says. A list of manifests goes with all its images. The digest is that of the
// manifest as it is there.
func (im *Images) Push(ctx context.Context, name, to string, o SendOptions) (digest.Digest, error) {
	stored, found, err := im.Find(name)
	if err != nil {
		return "", err
	}
	if to == "" {
		if to = found; to == "" {
			return "", &image.Error{Name: name, Err: errors.New("an ID says nothing of a registry"), Way: "podunit push " + name + " REGISTRY/REPOSITORY:TAG"}
		}
	}
	conf, err := ours.DefaultConf()
	if err != nil {
		return "", fmt.Errorf("containers.conf: %w", err)
	}
	c, err := o.configured(conf).copying()
	if err != nil {
		return "", err
	}
	runtime, err := im.runtime()
	if err != nil {
		return "", err
	}
	wrapped, err := im.wrap(stored.ID)
	if err != nil {
		return "", err
	}
	if isList, err := wrapped.IsManifestList(ctx); err != nil {
		return "", err
	} else if isList {
		return im.PushList(ctx, stored.ID, to, nil, o)
	}
	source := found
	if source == "" {
		source = stored.ID
	}
	return im.signing(ctx, to, o, func() (digest.Digest, error) {
		raw, err := runtime.Push(ctx, source, to, &libimage.PushOptions{CopyOptions: c})
		if err != nil {
			return "", explain(to, hostOf(to), err)
		}
		im.tell("push", stored.ID, to)
		return manifest.Digest(raw)
	})
}

// hostOf is the registry of a destination, for messages.
func hostOf(to string) string {
	named, err := reference.ParseNormalizedNamed(strings.TrimPrefix(to, "docker://"))
	if err != nil {
		return to
	}
	return reference.Domain(named)
}

// Save writes images to an archive or a directory: docker-archive, oci-archive, docker-dir,
// oci-dir. What is in our own storage has been judged when it came: policy.json has no say in it.
func (im *Images) Save(ctx context.Context, names []string, format, path string, o SendOptions) error {
	runtime, err := im.runtime()
	if err != nil {
		return err
	}
	var full, ids []string
	var images []archived
	for _, name := range names {
		stored, found, err := im.Find(name)
		if err != nil {
			return err
		}
		id := stored.ID
		if im.isList(stored) {
			own, err := ecosystem{im}.Instance(stored, name)
			if err != nil {
				return err
			}
			id = own.ID
		}
		images = addArchived(images, id, found)
		if found == "" {
			found = id
		}
		full, ids = append(full, found), append(ids, id)
	}
	if format == "docker-archive" {
		straight := len(names) > 0 && onDisk(path, im.store.GraphRoot())
		err = im.saveArchive(ctx, runtime.SystemContext(), images, path, straight, o.Progress)
	} else {
		err = im.saveSingle(ctx, runtime.SystemContext(), images, full, format, path, o)
	}
	if err != nil {
		return err
	}
	for i, id := range ids {
		im.tell("save", id, full[i])
	}
	return nil
}

// Scratch makes a directory for an archive on its way, where nobody else can take its name, and which
// the next pull removes if this process is killed. drop removes it.
func (im *Images) Scratch(ctx context.Context) (dir string, drop func(), err error) {
	work, err := download.NewDir(ctx, im.store)
	if err != nil {
		return "", nil, err
	}
	return work.Path, func() { work.Close(nil) }, nil
}

// LoadArchive reads the images of an archive or a directory and returns their names, or IDs where
// they have none.
func (im *Images) LoadArchive(ctx context.Context, path string, progress io.Writer) ([]string, error) {
	runtime, err := im.runtime()
	if err != nil {
		return nil, err
	}
	var names []string
	err = im.storing(ctx, libimage.CopyOptions{Writer: progress}, func(o libimage.CopyOptions) (err error) {
		names, err = im.load(ctx, runtime, path, &libimage.LoadOptions{CopyOptions: o})
		return err
	})
	for _, name := range names {
		if stored, _, ferr := im.Find(name); ferr == nil {
			im.tell("loadfromarchive", stored.ID, name)
		}
	}
	return names, err
}

// Imported says how an image that is made of an archive of files is called and how it runs.
type Imported struct {
	Name     string   // "" for none
	Changes  []string // Dockerfile instructions
	Message  string
	OS, Arch string // "" is this machine's
	Progress io.Writer
}

// Import makes an image of an archive of files, a path or a URL, and returns its ID.
func (im *Images) Import(ctx context.Context, path string, o Imported) (string, error) {
	runtime, err := im.runtime()
	if err != nil {
		return "", err
	}
	var name string
	err = im.storing(ctx, libimage.CopyOptions{Writer: o.Progress}, func(c libimage.CopyOptions) (err error) {
		name, err = runtime.Import(ctx, path, &libimage.ImportOptions{CopyOptions: c, Changes: o.Changes, CommitMessage: o.Message, Tag: o.Name, OS: o.OS, Arch: o.Arch})
		return err
	})
	if err != nil {
		return "", err
	}
	stored, _, err := im.Find(name)
	if err != nil {
		return "", err
	}
	im.tell("import", stored.ID, path)
	return stored.ID, nil
}

// History lists the steps by which an image was made, the last one first.
func (im *Images) History(ctx context.Context, name string) ([]libimage.ImageHistory, error) {
	img, err := im.wrapped(name)
	if err != nil {
		return nil, err
	}
	return img.History(ctx)
}

// Tree draws the layers of an image, and with all, the images that stand on them.
func (im *Images) Tree(ctx context.Context, name string, all bool) (string, error) {
	img, err := im.wrapped(name)
	if err != nil {
		return "", err
	}
	return img.Tree(ctx, all)
}

// wrapped finds libimage's view of an image.
func (im *Images) wrapped(name string) (*libimage.Image, error) {
	stored, _, err := im.Find(name)
	if err != nil {
		return nil, err
	}
	return im.wrap(stored.ID)
}

// Changes are the files of an image's topmost layer, compared with those below it, or with another
// image.
func (im *Images) Changes(name, other string) ([]archive.Change, error) {
	stored, _, err := im.Find(name)
	if err != nil {
		return nil, err
	}
	from := ""
	if other != "" {
		o, _, err := im.Find(other)
		if err != nil {
			return nil, err
		}
		from = o.TopLayer
	}
	return im.store.Changes(from, stored.TopLayer)
}

// Search asks registries for repositories, or for the tags of one.
func (im *Images) Search(ctx context.Context, term string, o libimage.SearchOptions) ([]libimage.SearchResult, error) {
	if err := errors.Join(Credentials(o.Authfile), Certificates(o.CertDirPath)); err != nil {
		return nil, err
	}
	runtime, err := im.runtime()
	if err != nil {
		return nil, err
	}
	found, err := runtime.Search(ctx, term, &o)
	if err != nil {
		return nil, explain(term, hostOf(term), oneLine(err))
	}
	return found, nil
}

// DiskUsage tells what each image takes, and all of them together, in bytes.
func (im *Images) DiskUsage(ctx context.Context) ([]libimage.ImageDiskUsage, int64, error) {
	runtime, err := im.runtime()
	if err != nil {
		return nil, 0, err
	}
	for {
		before, err := im.store.Images()
		if err != nil {
			return nil, 0, err
		}
		all, size, err := runtime.DiskUsage(ctx)
		if err == nil || ctx.Err() != nil || !slices.ContainsFunc(before, im.isGone) {
			return all, size, err
		}
	}
}

// isGone tells that somebody has removed an image since it was listed.
func (im *Images) isGone(img storage.Image) bool {
	_, err := im.store.Image(img.ID)
	return errors.Is(err, storage.ErrImageUnknown)
}

// CreateList makes an empty list of manifests and returns its ID.
func (im *Images) CreateList(name string) (string, error) {
	runtime, err := im.runtime()
	if err != nil {
		return "", err
	}
	own, err := download.Open(im.store)
	if err != nil {
		return "", err
	}
	defer own.Close()
	defer download.Mark(own)()
	list, err := runtime.CreateManifestList(name)
	if err != nil {
		return "", err
	}
	return list.ID(), nil
}

// ErrNoList says that an image is no list of manifests.
var ErrNoList = errors.New("is not a manifest list")

// list finds a list of manifests.
func (im *Images) list(name string) (*libimage.ManifestList, error) {
	stored, _, err := im.Find(name)
	if err != nil {
		return nil, err
	}
	runtime, err := im.runtime()
	if err != nil {
		return nil, err
	}
	list, err := runtime.LookupManifestList(stored.ID)
	if err != nil {
		return nil, fmt.Errorf("%s %w: %w", name, ErrNoList, err)
	}
	return list, nil
}

// ListID is the ID of the list of manifests of that name; empty where there is none.
func (im *Images) ListID(name string) (string, error) {
	list, err := im.list(name)
	if errors.Is(err, image.ErrUnknown) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return list.ID(), nil
}

// Listed is an image in a list of manifests, with the list's description of it.
type Listed struct {
	Image             string // a name in the storage, or for a registry
	All               bool   // all images, if it is a list itself
	OS, Arch, Variant string // "" for what the image says
	OSVersion         string
	// Features and OSFeatures are what it needs of the processor and of the system.
	Features, OSFeatures []string
	Annotations          map[string]string
	// IndexAnnotations are those of the list itself.
	IndexAnnotations map[string]string
	// Subject is the name of the image that the list is about; "" for none.
	Subject string
	image.PullOptions
}

// AddToList adds an image to a list of manifests and returns the list's ID.
func (im *Images) AddToList(ctx context.Context, name string, i Listed) (string, error) {
	list, err := im.list(name)
	if err != nil {
		return "", err
	}
	source := i.Image
	if alltransports.TransportFromImageName(source) == nil {
		if stored, _, err := im.Find(source); err == nil {
			source = "containers-storage:" + stored.ID
		}
	}
	if err := keepsFeatures(list, i); err != nil {
		return "", err
	}
	if err := errors.Join(Credentials(i.AuthFile), Certificates(i.CertDir)); err != nil {
		return "", err
	}
	o := libimage.ManifestListAddOptions{All: i.All, AuthFilePath: i.AuthFile, CertDirPath: i.CertDir, Username: i.User, Password: i.Secret}
	if i.TLSVerify != nil {
		o.InsecureSkipTLSVerify = types.NewOptionalBool(!*i.TLSVerify)
	}
	added, err := list.Add(ctx, source, &o)
	if err != nil {
		return "", explain(i.Image, hostOf(i.Image), err)
	}
	return list.ID(), im.annotate(list, added, i)
}

// annotate changes the description of an image in a list.
func (im *Images) annotate(list *libimage.ManifestList, of digest.Digest, i Listed) error {
	if i.OS+i.Arch+i.Variant+i.OSVersion+i.Subject == "" && len(i.Annotations)+len(i.IndexAnnotations)+len(i.Features)+len(i.OSFeatures) == 0 {
		return nil
	}
	if err := keepsFeatures(list, i); err != nil {
		return err
	}
	return list.AnnotateInstance(of, &libimage.ManifestListAnnotateOptions{
		OS: i.OS, Architecture: i.Arch, Variant: i.Variant, OSVersion: i.OSVersion, Features: i.Features, OSFeatures: i.OSFeatures,
		Annotations: i.Annotations, IndexAnnotations: i.IndexAnnotations, Subject: i.Subject,
	})
}

// keepsFeatures is an error if features of a processor would be lost. The storage keeps a list in
// docker's format, which alone has them, only while the list has nothing that only OCI's format
// has.
func keepsFeatures(list *libimage.ManifestList, i Listed) error {
	data, err := list.Inspect()
	if err != nil {
		return err
	}
	features := len(i.Features) > 0
	oci := len(i.Annotations)+len(i.IndexAnnotations)+len(data.Annotations) > 0 || i.Subject != "" || data.Subject != nil || data.ArtifactType != ""
	for _, m := range data.Manifests {
		features = features || len(m.Platform.Features) > 0
		oci = oci || len(m.Annotations) > 0 || m.ArtifactType != "" || len(m.Data) > 0
	}
	if features && oci {
		return hint.With(errors.New("a list with features of a processor can't have annotations, a subject or artifacts: no format of lists has both"),
			"leave out --features, or make a list without annotations for it")
	}
	return nil
}

// AnnotateList changes the description of an image, named by its digest, in a list of manifests,
// and returns the list's ID.
func (im *Images) AnnotateList(name, of string, i Listed) (string, error) {
	list, err := im.list(name)
	if err != nil {
		return "", err
	}
	if of == "" {
		return list.ID(), im.annotate(list, "", i)
	}
	d, err := digest.Parse(of)
	if err != nil {
		return "", fmt.Errorf("%q: %w", of, err)
	}
	return list.ID(), im.annotate(list, d, i)
}

// RemoveFromList takes an image, named by its digest, from a list of manifests, and returns the
// list's ID.
func (im *Images) RemoveFromList(name, of string) (string, error) {
	list, err := im.list(name)
	if err != nil {
		return "", err
	}
	d, err := digest.Parse(of)
	if err != nil {
		return "", fmt.Errorf("%q: %w", of, err)
	}
	return list.ID(), list.RemoveInstance(d)
}

// InspectList shows a list of manifests.
func (im *Images) InspectList(name string) (*define.ManifestListData, error) {
	list, err := im.list(name)
	if err != nil {
		return nil, err
	}
	return list.Inspect()
}

// PushList copies a list of manifests, with its images, to a registry or another transport.
func (im *Images) PushList(ctx context.Context, name, to string, variants []string, o SendOptions) (digest.Digest, error) {
	list, err := im.list(name)
	if err != nil {
		return "", err
	}
	if to == "" {
		to = name
	}
	conf, err := ours.DefaultConf()
	if err != nil {
		return "", fmt.Errorf("containers.conf: %w", err)
	}
	c, err := o.configured(conf).copying()
	if err != nil {
		return "", err
	}
	return im.signing(ctx, to, o, func() (digest.Digest, error) {
		d, err := list.Push(ctx, to, &libimage.ManifestListPushOptions{CopyOptions: c, ImageListSelection: copy.CopyAllImages, AddCompression: variants})
		if err != nil {
			return "", explain(to, hostOf(to), err)
		}
		return d, nil
	})
}

// ContextFor tells the libraries whether the certificate of a registry is to be verified; nil
// leaves that to registries.conf.
func ContextFor(tlsVerify *bool) *types.SystemContext {
	sys := &types.SystemContext{}
	if tlsVerify != nil {
		sys.DockerInsecureSkipTLSVerify = types.NewOptionalBool(!*tlsVerify)
	}
	return sys
}

// oneLine puts the library's error for several registries, which has a line for each, in one line.
func oneLine(err error) error {
	_, list, ok := strings.Cut(err.Error(), "occurred:\n")
	if !ok {
		return err
	}
	var all []string
	for line := range strings.Lines(list) {
		if text := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "*")); text != "" {
			all = append(all, text)
		}
	}
	return errors.New(strings.Join(all, "; "))
}
