// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/podunit/podunit/runner/image"
	"github.com/podunit/podunit/runner/image/download"
	"go.podman.io/image/v5/types"
	"go.podman.io/storage"
	"go.podman.io/storage/pkg/reexec"
	"go.podman.io/storage/pkg/unshare"
	"golang.org/x/sys/unix"
)

// TestMain enters a user namespace when it is not run by root: a layer is unpacked in
// a chroot. One id is enough for the layers of these tests.
func TestMain(m *testing.M) {
	if dir := os.Getenv(gpgDir); dir != "" {
		if err := asGPG(dir, os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		return
	}
	if reexec.Init() {
		return
	}
	if os.Geteuid() != 0 {
		cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		// As rootless.Enter does, for the libraries: root in here is nobody out there.
		cmd.Env = append(os.Environ(), "_CONTAINERS_USERNS_CONFIGURED=done", fmt.Sprintf("_CONTAINERS_ROOTLESS_UID=%d", os.Getuid()), fmt.Sprintf("_CONTAINERS_ROOTLESS_GID=%d", os.Getgid()))
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
			UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
		}
		err := cmd.Run()
		var exit *exec.ExitError
		switch {
		case errors.As(err, &exit):
			os.Exit(exit.ExitCode())
		case err != nil:
			fmt.Fprintf(os.Stderr, "these tests need root or a user namespace: %v\n", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// world is a storage of its own, with configuration of its own.
type world struct {
	*Images
	t        *testing.T
	dir      string
	registry *registry
	log      []string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"home/.config/containers/policy.json":     `{"default":[{"type":"insecureAcceptAnything"}]}`,
		"home/.config/containers/registries.conf": "unqualified-search-registries = []\nshort-name-mode = \"enforcing\"\n",
		"tmp/.keep":      "",
		"home/auth.json": "{}",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("HOME", filepath.Join(dir, "home"))
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(dir, "home", ".config"))
	t.Setenv("CONTAINERS_REGISTRIES_CONF", filepath.Join(dir, "home/.config/containers/registries.conf"))
	t.Setenv("TMPDIR", filepath.Join(dir, "tmp"))
	t.Setenv("REGISTRY_AUTH_FILE", filepath.Join(dir, "home/auth.json"))
	t.Setenv(image.StallEnv, "")
	store, err := storage.GetStore(storage.StoreOptions{
		RunRoot:         filepath.Join(dir, "run"),
		GraphRoot:       filepath.Join(dir, "graph"),
		GraphDriverName: "vfs",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := store.Shutdown(true); err != nil {
			t.Error(err)
		}
	})
	w := &world{Images: New(store, filepath.Join(dir, "run")), t: t, dir: dir, registry: newRegistry(t)}
	w.base = types.SystemContext{BlobInfoCacheDir: filepath.Join(dir, "cache")}
	return w
}

// options are those of most tests: the registry speaks plain HTTP.
func (w *world) options() image.PullOptions {
	return image.PullOptions{
		TLSVerify: new(bool),
		Interval:  10 * time.Millisecond,
		Log:       func(s string) { w.log = append(w.log, s) },
	}
}

func (w *world) name(repository string) string { return w.registry.host + "/" + repository }

func (w *world) pull(repository string) *image.Image {
	w.t.Helper()
	img, err := w.Pull(context.Background(), w.name(repository), w.options())
	if err != nil {
		w.t.Fatal(err)
	}
	return img
}

// files lists what lies in the directory for downloads, but for the notes of layers.
func (w *world) files() []string {
	var all []string
	_ = filepath.WalkDir(filepath.Join(w.dir, "tmp"), func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && d.Name() != ".keep" && filepath.Base(filepath.Dir(path)) != "layers" {
			all = append(all, path)
		}
		return nil
	})
	return all
}

func one() map[string][]byte { return map[string][]byte{"hello": []byte("hello\n")} }

func TestPullAndLookup(t *testing.T) {
	w := newWorld(t)
	p := w.registry.push(t, "app:1", "", v1.ImageConfig{Cmd: []string{"/hello"}, User: "7", StopSignal: "SIGQUIT"}, one(), map[string][]byte{"more": random(1, 10000)})
	img := w.pull("app:1")
	if img.ID != p.config.Encoded() || img.Digest != p.manifest || img.TopLayer == "" {
		t.Errorf("image %+v, pushed %+v", img, p)
	}
	if c := img.Config.Config; !slices.Equal(c.Cmd, []string{"/hello"}) || c.User != "7" || c.StopSignal != "SIGQUIT" {
		t.Errorf("config %+v", c)
	}
	for _, name := range []string{
		w.name("app:1"),
		w.name("app@" + p.manifest.String()),
		w.name("app:1@" + p.manifest.String()),
		img.ID,
		"sha256:" + img.ID,
		img.ID[:12],
		"containers-storage:" + w.name("app:1"),
		"app:1", // the ecosystem finds a repository without its registry
	} {
		got, err := w.Lookup(context.Background(), name)
		if err != nil || got.ID != img.ID {
			t.Errorf("lookup of %s: %+v, %v", name, got, err)
		}
	}
	for _, name := range []string{w.name("app:2"), w.name("app"), "other", "0123456789ab"} {
		if got, err := w.Lookup(context.Background(), name); !errors.Is(err, image.ErrUnknown) {
			t.Errorf("lookup of %s: %+v, %v; want image.ErrUnknown", name, got, err)
		}
	}
	if left := w.files(); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestInFull compares what the small program makes of names with what the ecosystem does.
func TestInFull(t *testing.T) {
	id := strings.Repeat("ab", 32)
	for name, want := range map[string]string{
		"quay.io/x/y":                   "quay.io/x/y:latest",
		"quay.io/x/y:1.2":               "quay.io/x/y:1.2",
		"localhost/y":                   "localhost/y:latest",
		"localhost:5000/x":              "localhost:5000/x:latest",
		"host:5000/x/y/z:v1_2.3-4":      "host:5000/x/y/z:v1_2.3-4",
		"docker.io/library/busybox":     "docker.io/library/busybox:latest",
		"docker.io/x/y:1":               "docker.io/x/y:1",
		"busybox":                       "",
		"busybox:1.36":                  "",
		"x/y":                           "",
		"x/y:1":                         "",
		"quay.io/x/y@sha256:" + id:      "quay.io/x/y@sha256:" + id,
		"localhost:5000/x@sha256:" + id: "localhost:5000/x@sha256:" + id,
		"quay.io/x/y:1@sha256:" + id:    "",
		"x@sha256:" + id:                "",
	} {
		got := image.InFull(name)
		if got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
		if want == "" {
			continue
		}
		if named, err := candidates(&types.SystemContext{}, name); err != nil || len(named) != 1 || named[0].String() != want {
			t.Errorf("%s: the ecosystem has %v, %v", name, named, err)
		}
	}
	// These are other images; no image in a storage has the name as it is.
	for _, name := range []string{"docker.io/busybox", "docker.io/busybox:1", "index.docker.io/x/y"} {
		named, err := candidates(&types.SystemContext{}, name)
		if full := image.InFull(name); err != nil || full == named[0].String() {
			t.Errorf("%s: %s, %v", name, full, err)
		}
	}
}

func TestPolicies(t *testing.T) {
	w := newWorld(t)
	w.registry.push(t, "app:1", "", v1.ImageConfig{}, one())
	name := w.name("app:1")
	ctx := context.Background()
	with := func(p image.Policy) image.PullOptions {
		o := w.options()
		o.Policy = p
		return o
	}
	if _, err := w.Pull(ctx, name, with(image.PullNever)); !errors.Is(err, image.ErrUnknown) {
		t.Fatalf("never, without an image: %v", err)
	}
	first, err := w.Pull(ctx, name, with(image.PullMissing))
	if err != nil {
		t.Fatal(err)
	}
	w.registry.push(t, "app:1", "", v1.ImageConfig{Cmd: []string{"new"}}, one())
	for _, p := range []image.Policy{image.PullNever, image.PullMissing} {
		if got, err := w.Pull(ctx, name, with(p)); err != nil || got.ID != first.ID {
			t.Errorf("%s takes what is there: %v, %v", p, got, err)
		}
	}
	second, err := w.Pull(ctx, name, with(image.PullNewer))
	if err != nil || second.ID == first.ID {
		t.Fatalf("newer takes what the registry has: %v, %v", second, err)
	}
	asked := w.registry.asked
	if got, err := w.Pull(ctx, name, with(image.PullNewer)); err != nil || got.ID != second.ID || w.registry.asked != asked {
		t.Errorf("newer asks for the digest alone when it is the same: %v, %v, %d manifests", got, err, w.registry.asked-asked)
	}
	w.registry.Close()
	if got, err := w.Pull(ctx, name, with(image.PullNewer)); err != nil || got.ID != second.ID {
		t.Errorf("newer is content without a registry: %v, %v", got, err)
	}
	if _, err := w.Pull(ctx, name, with(image.PullAlways)); err == nil || !strings.Contains(err.Error(), w.registry.host) {
		t.Errorf("always needs the registry, and names it: %v", err)
	}
}

func TestPullFaults(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(*world, *image.PullOptions) string // gives the name to pull
		want string                                  // in the message, HOST for the registry
		hint string
	}{
		{
			"a tag that isn't there",
			func(w *world, _ *image.PullOptions) string { return w.name("app:2") },
			"registry HOST does not have it", "check repository and tag",
		},
		{
			"a registry that asks for a password",
			func(w *world, _ *image.PullOptions) string { w.registry.user = "joe:secret"; return w.name("app:1") },
			"registry HOST denies access", "podman login HOST",
		},
		{
			"a wrong password",
			func(w *world, o *image.PullOptions) string {
				w.registry.user, o.User, o.Secret = "joe:secret", "joe", "guess"
				return w.name("app:1")
			},
			"registry HOST denies access", "--authfile",
		},
		{
			"a registry that isn't there",
			func(w *world, _ *image.PullOptions) string { w.registry.Close(); return w.name("app:1") },
			"registry HOST is unreachable: connection refused", "is the registry running",
		},
		{
			"plain HTTP where HTTPS is expected",
			func(w *world, o *image.PullOptions) string { yes := true; o.TLSVerify = &yes; return w.name("app:1") },
			"registry HOST speaks plain HTTP", "--tls-verify=false",
		},
		{
			"another platform",
			func(w *world, o *image.PullOptions) string { o.Arch = "riscv64"; return w.name("many:1") },
			"no image for linux/riscv64; there is linux/", "--platform",
		},
		{
			"a short name",
			func(*world, *image.PullOptions) string { return "nginx" },
			"nginx: short-name \"nginx\" did not resolve", "docker.io/library/nginx, if Docker Hub is meant",
		},
		{
			"a short name with a path",
			func(*world, *image.PullOptions) string { return "grafana/grafana" },
			"did not resolve", "docker.io/grafana/grafana",
		},
		{
			"a name that is none",
			func(*world, *image.PullOptions) string { return "Web Server" },
			"invalid reference format", "in lower case",
		},
		{
			"an ID that isn't there",
			func(*world, *image.PullOptions) string { return strings.Repeat("a", 64) },
			"image not known", "a pull needs its name",
		},
		{
			"an archive that isn't there",
			func(*world, *image.PullOptions) string { return "oci-archive:/nowhere.tar" },
			"archive file not found", "is the path right",
		},
		{
			"no signature policy",
			func(w *world, _ *image.PullOptions) string {
				// Not the one of this machine, should it have one.
				w.base.SignaturePolicyPath = filepath.Join(w.dir, "policy.json")
				return w.name("app:1")
			},
			"policy.json", "apt install golang-github-containers-common",
		},
		{
			"a signature policy that rejects",
			func(w *world, _ *image.PullOptions) string {
				_ = os.WriteFile(filepath.Join(w.dir, "home/.config/containers/policy.json"), []byte(`{"default":[{"type":"reject"}]}`), 0o600)
				return w.name("app:1")
			},
			"signature policy", "containers-policy.json(5)",
		},
		{
			"a policy with a word that nobody knows",
			func(w *world, _ *image.PullOptions) string {
				_ = os.WriteFile(filepath.Join(w.dir, "home/.config/containers/policy.json"), []byte(`{"default":[{"type":"reject"}],"bogus":1}`), 0o600)
				return w.name("app:1")
			},
			"invalid policy in", "mend the file: containers-policy.json(5)",
		},
		{
			"an authfile that isn't there",
			func(w *world, o *image.PullOptions) string { o.AuthFile = "/nowhere.json"; return w.name("app:1") },
			"--authfile: stat /nowhere.json: no such file or directory", "",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.registry.push(t, "app:1", "", v1.ImageConfig{}, one())
			w.registry.list(t, "many:1", map[string]pushed{
				"amd64": w.registry.push(t, "many:amd64", "amd64", v1.ImageConfig{}, one()),
				"arm64": w.registry.push(t, "many:arm64", "arm64", v1.ImageConfig{}, one()),
			})
			o := w.options()
			name := c.do(w, &o)
			_, err := w.Pull(context.Background(), name, o)
			if err == nil {
				t.Fatal("no error")
			}
			host := func(s string) string { return strings.ReplaceAll(s, "HOST", w.registry.host) }
			if !strings.Contains(err.Error(), host(c.want)) {
				t.Errorf("error %q, want %q in it", err, host(c.want))
			}
			var h interface{ Hint() string }
			if c.hint != "" && (!errors.As(err, &h) || !strings.Contains(h.Hint(), host(c.hint))) {
				t.Errorf("error %q has the hint %v, want %q in it", err, h, host(c.hint))
			}
			if left := w.files(); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestCredentials(t *testing.T) {
	w := newWorld(t)
	w.registry.push(t, "app:1", "", v1.ImageConfig{}, one())
	w.registry.user = "joe:secret"
	o := w.options()
	o.User, o.Secret = "joe", "secret"
	if _, err := w.Pull(context.Background(), w.name("app:1"), o); err != nil {
		t.Error(err)
	}
	o = w.options()
	o.AuthFile = filepath.Join(w.dir, "auth.json")
	if err := os.WriteFile(o.AuthFile, fmt.Appendf(nil, `{"auths":{%q:{"auth":"am9lOnNlY3JldA=="}}}`, w.registry.host), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Pull(context.Background(), w.name("app:1"), o); err != nil {
		t.Error(err)
	}
}

// A registry with a certificate of its own: refused, unless its authority is given.
func TestCertificates(t *testing.T) {
	w := newWorld(t)
	w.registry.push(t, "app:1", "", v1.ImageConfig{}, one())
	server := httptest.NewTLSServer(w.registry)
	defer server.Close()
	name := strings.TrimPrefix(server.URL, "https://") + "/app:1"
	o := w.options()
	o.TLSVerify = nil
	_, err := w.Pull(context.Background(), name, o)
	var e *image.Error
	if !errors.As(err, &e) || !strings.Contains(e.Hint(), "/etc/containers/certs.d/"+server.Listener.Addr().String()+"/ca.crt") {
		t.Errorf("an unknown authority: %v", err)
	}
	o.CertDir = filepath.Join(w.dir, "certs")
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := errors.Join(os.Mkdir(o.CertDir, 0o700), os.WriteFile(filepath.Join(o.CertDir, "ca.crt"), ca, 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Pull(context.Background(), name, o); err != nil {
		t.Errorf("with its authority: %v", err)
	}
	o.CertDir, o.TLSVerify = "", new(bool)
	if _, err := w.Pull(context.Background(), name, o); err != nil {
		t.Errorf("download.Unverified: %v", err)
	}
}

func TestEncryptedLayers(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	w.registry.push(t, "app:1", "", v1.ImageConfig{}, one())
	plain := w.pull("app:1")
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	private := filepath.Join(w.dir, "private.pem")
	if err := errors.Join(
		os.WriteFile(private, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}), 0o600),
		os.WriteFile(filepath.Join(w.dir, "public.pem"), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(w.dir, "secret")
	if _, err := w.Push(ctx, plain.ID, "oci:"+dir, SendOptions{EncryptionKeys: []string{"jwe:" + filepath.Join(w.dir, "public.pem")}}); err != nil {
		t.Fatal(err)
	}
	w.serve("secret:1", dir)
	if _, err := w.Remove(ctx, plain.ID, RemoveOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{w.name("secret:1"), "oci:" + dir} {
		o := w.options()
		if img, err := w.Pull(ctx, name, o); err == nil {
			t.Errorf("%s without a key: %+v", name, img)
		}
		o.DecryptionKeys = []string{private}
		img, err := w.Pull(ctx, name, o)
		if err != nil {
			t.Fatalf("%s with the key: %v", name, err)
		}
		if img.ID != plain.ID {
			t.Errorf("%s: image %s, was %s", name, img.ID, plain.ID)
		}
		if _, err := w.Remove(ctx, img.ID, RemoveOptions{Force: true}); err != nil {
			t.Fatal(err)
		}
	}
}

// serve puts the image of an OCI layout into the registry.
func (w *world) serve(name, dir string) {
	w.t.Helper()
	blobs, err := os.ReadDir(filepath.Join(dir, "blobs", "sha256"))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, b := range blobs {
		data, err := os.ReadFile(filepath.Join(dir, "blobs", "sha256", b.Name()))
		if err != nil {
			w.t.Fatal(err)
		}
		w.registry.blobs[digest.NewDigestFromEncoded(digest.SHA256, b.Name())] = data
		var m v1.Manifest
		if json.Unmarshal(data, &m) == nil && len(m.Layers) > 0 {
			w.registry.put(name, v1.MediaTypeImageManifest, data)
		}
	}
}

// strangers makes, in the directory for downloads, what somebody else could put there who
// knows the names: a link that leads away and a FIFO where a directory is expected. It
// returns a file behind the link, old enough to be swept.
func strangers(t *testing.T, tmp string) string {
	t.Helper()
	kept := filepath.Join(t.TempDir(), "kept")
	old := time.Now().Add(-2 * download.KeepFor)
	own := filepath.Join(tmp, fmt.Sprintf("podunit-%d", unshare.GetRootlessUID()))
	err := errors.Join(
		os.WriteFile(kept, nil, 0o600), os.Chtimes(kept, old, old),
		os.Mkdir(own, 0o777), os.Chmod(own, 0o777),
		os.Mkdir(filepath.Join(own, "pull-x"), 0o700), syscall.Mkfifo(filepath.Join(own, "pull-f"), 0o600),
		os.Symlink(filepath.Dir(kept), filepath.Join(own, "blobs")))
	if err != nil {
		t.Fatal(err)
	}
	return kept
}

// Nobody else's files are swept, in no place where a stranger may have made the
// directories of pulls: not by a pull, not by a start with the image there, not by prune.
func TestDirectoryOfAStranger(t *testing.T) {
	for name, prepare := range map[string]func(*testing.T, string) string{
		"a directory for downloads in which all can write": func(t *testing.T, tmp string) string {
			if err := os.Chmod(tmp, 0o777|fs.ModeSticky); err != nil {
				t.Fatal(err)
			}
			return strangers(t, tmp)
		},
		"one of ours in which the name is taken": strangers,
		"one of ours in which the name is a link": func(t *testing.T, tmp string) string {
			elsewhere := t.TempDir()
			kept := strangers(t, elsewhere)
			name := fmt.Sprintf("podunit-%d", unshare.GetRootlessUID())
			if err := os.Symlink(filepath.Join(elsewhere, name), filepath.Join(tmp, name)); err != nil {
				t.Fatal(err)
			}
			return kept
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.registry.push(t, "app:1", "", v1.ImageConfig{}, one())
			kept := prepare(t, filepath.Join(w.dir, "tmp"))
			w.pull("app:1")
			o := w.options()
			o.Policy = image.PullMissing
			_, err := w.Pull(context.Background(), w.name("app:1"), o)
			_, _, errPrune := w.Prune(context.Background(), true, nil)
			if _, gone := os.Stat(kept); err != nil || errPrune != nil || gone != nil {
				t.Errorf("pull: %v, prune: %v, file of a stranger: %v", err, errPrune, gone)
			}
		})
	}
}

func TestPlatform(t *testing.T) {
	w := newWorld(t)
	arm := w.registry.push(t, "many:arm64", "arm64", v1.ImageConfig{}, one())
	amd := w.registry.push(t, "many:amd64", "amd64", v1.ImageConfig{}, map[string][]byte{"x": []byte("amd64")})
	list := w.registry.list(t, "many:1", map[string]pushed{"amd64": amd, "arm64": arm})
	o := w.options()
	o.Policy = image.PullMissing
	o.Arch = "aarch64" // as the kernel calls it
	img, err := w.Pull(context.Background(), w.name("many:1"), o)
	if err != nil || img.ID != arm.config.Encoded() {
		t.Fatalf("arm64: %+v, %v", img, err)
	}
	o.Arch = "amd64"
	img, err = w.Pull(context.Background(), w.name("many:1"), o)
	if err != nil || img.ID != amd.config.Encoded() {
		t.Fatalf("an image for another platform does not count as there: %+v, %v", img, err)
	}
	if !has(img, list) {
		t.Errorf("the digest of the list finds the image: %v", img.Digests)
	}
	got, err := w.Lookup(context.Background(), w.name("many@"+list.String()))
	if err != nil || got.ID != img.ID {
		t.Errorf("lookup by the list's digest: %+v, %v", got, err)
	}
}

func TestAllTags(t *testing.T) {
	w := newWorld(t)
	for _, tag := range []string{"1", "2", "latest"} {
		w.registry.push(t, "app:"+tag, "", v1.ImageConfig{Cmd: []string{tag}}, one())
	}
	images, err := w.Tags(context.Background(), w.name("app"), w.options())
	if err != nil || len(images) != 3 {
		t.Errorf("%d images, %v", len(images), err)
	}
}

func TestTransports(t *testing.T) {
	w := newWorld(t)
	w.registry.push(t, "app:1", "", v1.ImageConfig{Cmd: []string{"/hello"}}, one())
	img := w.pull("app:1")
	runtime, err := w.runtime()
	if err != nil {
		t.Fatal(err)
	}
	for format, name := range map[string]string{
		"oci-archive": "oci-archive:" + w.dir + "/a.tar", "docker-archive": "docker-archive:" + w.dir + "/b.tar",
		"oci-dir": "oci:" + w.dir + "/c", "docker-dir": "dir:" + w.dir + "/d",
	} {
		_, path, _ := strings.Cut(name, ":")
		if err := runtime.Save(context.Background(), []string{img.ID}, format, path, nil); err != nil {
			t.Fatal(format, err)
		}
		o := w.options()
		got, err := w.Pull(context.Background(), name, o)
		if err != nil || !slices.Equal(got.Config.Config.Cmd, []string{"/hello"}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if got, err := w.Pull(context.Background(), "docker://"+w.name("app:1"), w.options()); err != nil || got.ID != img.ID {
		t.Errorf("docker://: %v, %v", got, err)
	}
}

// A silent registry ends the pull; a slow one does not.
func TestStall(t *testing.T) {
	t.Run("in the middle of a layer", func(t *testing.T) {
		w := newWorld(t)
		p := w.registry.push(t, "app:1", "", v1.ImageConfig{}, map[string][]byte{"big": random(1, 200_000)})
		w.registry.hang[p.layers[0]] = 100_000
		if e := stalls(t, w); e.Early {
			t.Errorf("%v", e)
		}
	})
	t.Run("from the first request on", func(t *testing.T) {
		w := newWorld(t)
		w.registry.push(t, "app:1", "", v1.ImageConfig{}, one())
		w.registry.mute = true
		if e := stalls(t, w); e.Slow || !strings.HasSuffix(e.Error(), ": the manifest or configuration did not come within 1s") {
			t.Errorf("%v", e)
		}
	})
	t.Run("a configuration a few bytes a second", func(t *testing.T) {
		w := newWorld(t)
		w.registry.push(t, "app:1", "", v1.ImageConfig{Labels: map[string]string{"long": strings.Repeat("x", 200_000)}}, one())
		w.registry.rate = 500
		if e := stalls(t, w); !strings.HasSuffix(e.Error(), ": the manifest or configuration did not come within 1s") {
			t.Errorf("%v", e)
		}
	})
	t.Run("before a layer's first byte", func(t *testing.T) {
		w := newWorld(t)
		p := w.registry.push(t, "app:1", "", v1.ImageConfig{}, one(), map[string][]byte{"big": random(1, 200_000)})
		w.registry.hang[p.layers[1]] = 0
		_ = stalls(t, w)
	})
	t.Run("a few bytes a second", func(t *testing.T) {
		w := newWorld(t)
		w.registry.push(t, "app:1", "", v1.ImageConfig{}, map[string][]byte{"big": random(1, 200_000)})
		w.registry.rate = 500
		if e := stalls(t, w); !e.Slow || !strings.Contains(e.Error(), "less than 1 KiB a second") {
			t.Errorf("%v", e)
		}
	})
	t.Run("a slow one is waited for", func(t *testing.T) {
		w := newWorld(t)
		w.registry.push(t, "app:1", "", v1.ImageConfig{}, map[string][]byte{"big": random(1, 200_000)})
		w.registry.rate = 100_000
		o := w.options()
		o.Stall = time.Second
		var reports []image.Progress
		o.Report = func(p image.Progress) { reports = append(reports, p) }
		if _, err := w.Pull(context.Background(), w.name("app:1"), o); err != nil {
			t.Fatal(err)
		}
		moved := 0
		for i, p := range reports {
			if i > 0 && p.Done < reports[i-1].Done {
				t.Errorf("progress goes back: %v, then %v", reports[i-1], p)
			}
			if p.Moved {
				moved++
			}
		}
		if last := reports[len(reports)-1]; moved < 3 || last.Done != last.Total || last.Total < 200_000 {
			t.Errorf("%d reports, %d with movement, the last %v", len(reports), moved, last)
		}
	})
}

func stalls(t *testing.T, w *world) *image.StallError {
	t.Helper()
	o := w.options()
	o.Stall = time.Second
	begun := time.Now()
	_, err := w.Pull(context.Background(), w.name("app:1"), o)
	var stall *image.StallError
	if !errors.As(err, &stall) || stall.Host != w.registry.host {
		t.Fatalf("error %v, want a image.StallError", err)
	}
	if took := time.Since(begun); took < 900*time.Millisecond || took > time.Minute {
		t.Errorf("it took %s", took)
	}
	if left := w.files(); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	return stall
}

// What was complete when a pull ended is not downloaded again, also when a layer below
// it was not.
func TestInterruptAndResume(t *testing.T) {
	w := newWorld(t)
	p := w.registry.push(t, "app:1", "", v1.ImageConfig{},
		map[string][]byte{"a": random(1, 100_000)}, map[string][]byte{"b": random(2, 3_000_000)}, map[string][]byte{"c": random(3, 200_000)})
	w.registry.hang[p.layers[1]] = 1_000_000
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		// The first layer is in the storage, the third one put aside.
		third := filepath.Join(w.dir, "tmp", fmt.Sprintf("podunit-%d", unshare.GetRootlessUID()), "blobs", p.layers[2].String()+download.Unverified)
		for ready := false; !ready; time.Sleep(10 * time.Millisecond) {
			layers, _ := w.store.Layers()
			_, err := os.Stat(third)
			ready = len(layers) == 1 && layers[0].UncompressedSize > 0 && err == nil && w.registry.total() >= 1_300_000
		}
		cancel()
	}()
	o := w.options()
	ended := make(chan time.Time, 1)
	context.AfterFunc(ctx, func() { ended <- time.Now() })
	_, err := w.Pull(ctx, w.name("app:1"), o)
	if err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Fatal(err)
	}
	if took := time.Since(<-ended); took > time.Minute {
		t.Errorf("it took %s to end", took)
	}
	left := w.files()
	if len(left) != 1 || filepath.Base(left[0]) != p.layers[2].String()+download.Unverified {
		t.Errorf("kept: %v; want the third layer", left)
	}
	w.registry.set(func() {
		clear(w.registry.sent)
		clear(w.registry.hang)
	})
	img := w.pull("app:1")
	sent := w.registry.counts()
	if got := sent[p.layers[0]] + sent[p.layers[2]]; got != 0 {
		t.Errorf("%d bytes of complete layers were sent again", got)
	}
	if got := sent[p.layers[1]]; got != p.sizes[1] {
		t.Errorf("%d bytes of the second layer, it has %d", got, p.sizes[1])
	}
	if left := w.files(); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if img.ID != p.config.Encoded() {
		t.Errorf("image %s", img.ID)
	}
}

// A kept file whose content is not what its name says is not used.
func TestKeptBlobIsVerified(t *testing.T) {
	w := newWorld(t)
	p := w.registry.push(t, "app:1", "", v1.ImageConfig{}, map[string][]byte{"a": random(1, 100_000)})
	work, err := download.NewDir(t.Context(), w.store)
	if err != nil {
		t.Fatal(err)
	}
	forged := filepath.Join(work.Blobs, p.layers[0].String()+download.Unverified)
	if err := os.WriteFile(forged, make([]byte, p.sizes[0]), 0o600); err != nil {
		t.Fatal(err)
	}
	work.Close(nil)
	w.pull("app:1")
	if left := w.files(); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// What a killed pull leaves is gone with the next one.
func TestSweep(t *testing.T) {
	w := newWorld(t)
	w.registry.push(t, "app:1", "", v1.ImageConfig{}, one())
	work, err := download.NewDir(t.Context(), w.store)
	if err != nil {
		t.Fatal(err)
	}
	half := filepath.Join(work.Path, "half")
	if err := os.WriteFile(half, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.pull("app:1")
	if _, err := os.Stat(half); err != nil {
		t.Errorf("a running pull lost its files: %v", err)
	}
	work.Lock.Close() // as the kernel does when the process is killed
	w.pull("app:1")
	if left := w.files(); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// fadingStore is a storage whose directory cannot be found any more once a pull has begun in it.
type fadingStore struct{ storage.Store }

func (s fadingStore) pulls() []string {
	found, _ := filepath.Glob(filepath.Join(s.Store.GraphRoot(), "tmp", "podunit-*", "pull-*"))
	return found
}

func (s fadingStore) GraphRoot() string {
	if len(s.pulls()) > 0 {
		return "/proc/none"
	}
	return s.Store.GraphRoot()
}

// However a pull ends, its directory and the lock on that end with it, and not with the process.
func TestPullLeavesNoDirectory(t *testing.T) {
	w := newWorld(t)
	t.Setenv("TMPDIR", filepath.Join(w.dir, "none")) // so that downloads lie in the storage
	w.registry.push(t, "app:1", "", v1.ImageConfig{}, one())
	store := fadingStore{w.store}
	images := New(store, filepath.Join(w.dir, "run"))
	images.base = w.base
	_, err := images.Pull(t.Context(), w.name("app:1"), w.options())
	if left := store.pulls(); len(left) > 0 {
		t.Errorf("the pull ended with %v, and left %v", err, left)
	}
	if _, err := os.Stat(filepath.Join(w.store.GraphRoot(), "tmp")); err != nil {
		t.Errorf("no pull began there: %v", err)
	}
}

func TestBrokenConnectionIsRetried(t *testing.T) {
	w := newWorld(t)
	p := w.registry.push(t, "app:1", "", v1.ImageConfig{}, map[string][]byte{"a": random(1, 100_000)})
	w.registry.breaks[p.layers[0]] = 3
	o := w.options()
	o.RetryDelay = time.Millisecond
	if _, err := w.Pull(context.Background(), w.name("app:1"), o); err != nil {
		t.Errorf("%v; log %q", err, w.log)
	}
}

// TestRetriesOfAPull: a registry that is overloaded is asked as often as --retry says. With 500 it
// says that it cannot do it, and is not asked again, as with Podman.
func TestRetriesOfAPull(t *testing.T) {
	for _, c := range []struct {
		fails   []int
		retries int
		ok      bool
		left    int
	}{
		{[]int{502, 503}, 2, true, 0},
		{[]int{503, 504, 503, 503}, 2, false, 1},
		{[]int{503, 503}, 0, false, 1},
		{[]int{500, 500}, 2, false, 1},
	} {
		w := newWorld(t)
		w.registry.push(t, "app:1", "", v1.ImageConfig{}, one())
		w.registry.set(func() { w.registry.fails = c.fails })
		o := w.options()
		o.Retries, o.RetryDelay = &c.retries, time.Millisecond
		_, err := w.Pull(t.Context(), w.name("app:1"), o)
		w.registry.set(func() {
			if left := len(w.registry.fails); (err == nil) != c.ok || left != c.left {
				t.Errorf("%v with %d retries: %v, and %d requests too few", c.fails, c.retries, err, left-c.left)
			}
		})
	}
}

// The second of two pulls of one image waits for the first and downloads nothing.
func TestConcurrentPulls(t *testing.T) {
	w := newWorld(t)
	p := w.registry.push(t, "app:1", "", v1.ImageConfig{}, map[string][]byte{"a": random(1, 300_000)})
	w.registry.rate = 300_000
	pull := func(report func(image.Progress)) {
		o := w.options()
		o.Log = nil
		o.Policy = image.PullMissing
		o.Report = report
		if _, err := w.Pull(context.Background(), w.name("app:1"), o); err != nil {
			t.Error(err)
		}
	}
	var second sync.WaitGroup
	var waiting, moving bool
	begin := sync.OnceFunc(func() {
		second.Go(func() {
			pull(func(p image.Progress) {
				waiting = waiting || p.Waiting
				moving = moving || p.Waiting && p.Done > 0 && p.Moved
			})
		})
	})
	pull(func(image.Progress) { begin() })
	second.Wait()
	if got := w.registry.counts()[p.layers[0]]; got != p.sizes[0] {
		t.Errorf("%d bytes sent, the layer has %d", got, p.sizes[0])
	}
	if !waiting || !moving {
		t.Errorf("the second one saw itself waiting: %v, and the first one's bytes: %v", waiting, moving)
	}
}

func TestDamagedImageIsPulledAnew(t *testing.T) {
	w := newWorld(t)
	w.registry.push(t, "app:1", "", v1.ImageConfig{}, one())
	img := w.pull("app:1")
	if err := os.Remove(filepath.Join(w.dir, "graph/vfs-images", img.ID, "manifest")); err != nil {
		t.Fatal(err)
	}
	var damaged *image.CorruptError
	if _, err := w.Lookup(context.Background(), w.name("app:1")); !errors.As(err, &damaged) {
		t.Fatalf("lookup: %v", err)
	}
	o := w.options()
	o.Policy = image.PullMissing
	if _, err := w.Pull(context.Background(), w.name("app:1"), o); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Lookup(context.Background(), w.name("app:1")); err != nil {
		t.Error(err)
	}
}

func writeFile(path string, size int) error { return os.WriteFile(path, make([]byte, size), 0o600) }

// TestLostLayerIsPulledAnew: the directory of any layer of an image may be lost while its
// record is whole.
func TestLostLayerIsPulledAnew(t *testing.T) {
	for lost := range 3 {
		w := newWorld(t)
		w.registry.push(t, "app:1", "", v1.ImageConfig{}, one(), map[string][]byte{"b": random(1, 1000)}, map[string][]byte{"c": random(2, 1000)})
		img := w.pull("app:1")
		id := img.TopLayer
		for range lost {
			l, err := w.store.Layer(id)
			if err != nil {
				t.Fatal(err)
			}
			id = l.Parent
		}
		container := w.container(img, "web", true)
		dir := filepath.Join(w.dir, "graph/vfs/dir", id)
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		var damaged *image.CorruptError
		if _, err := w.Lookup(t.Context(), w.name("app:1")); !errors.As(err, &damaged) {
			t.Fatalf("lookup: %v", err)
		}
		o := w.options()
		o.Policy = image.PullMissing
		if _, err := w.Pull(t.Context(), w.name("app:1"), o); err == nil || !strings.Contains(err.Error(), "containers stand on it") {
			t.Errorf("beside a container: %v", err)
		}
		if err := w.store.DeleteContainer(container); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Pull(t.Context(), w.name("app:1"), o); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Lookup(t.Context(), w.name("app:1")); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(dir); err != nil {
			t.Error(err)
		}
		w.layers(3)
	}
}

// TestInterruptAlways ends a pull that waits for what no context ends: here for somebody to
// write a FIFO.
func TestInterruptAlways(t *testing.T) {
	w := newWorld(t)
	fifo := filepath.Join(w.dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := w.Pull(ctx, "docker-archive:"+fifo, w.options())
		ended <- err
	}()
	time.Sleep(50 * time.Millisecond) // it opens the FIFO by then, or ends all the sooner
	cancel()
	select {
	case err := <-ended:
		if err == nil || !strings.Contains(err.Error(), "interrupted") {
			t.Errorf("%v", err)
		}
	case <-time.After(time.Minute):
		t.Error("it waits for ever")
	}
	// For the goroutine that is left, which this process, unlike a runner, outlives.
	if f, err := os.OpenFile(fifo, os.O_WRONLY|unix.O_NONBLOCK, 0); err == nil {
		f.Close()
	}
}

// TestStagingTaken knows the fault that a layer has whose directory somebody else has removed, and
// no other.
func TestStagingTaken(t *testing.T) {
	for text, want := range map[string]bool{
		`writing blob: adding layer with blob "sha256:43"/""/"sha256:20": unpacking failed (error: exit status 1; output: mkdir /data: no such file or directory)`: true,
		`writing blob: adding layer with blob "sha256:43": unpacking failed (error: exit status 1; output: no space left on device)`:                               false,
		"open /etc/containers/policy.json: no such file or directory":                                                                                              false,
	} {
		if got := stagingTaken(errors.New(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

// TestEmptyIndex says what is wrong with a list of images without one.
func TestEmptyIndex(t *testing.T) {
	w := newWorld(t)
	w.registry.list(t, "none:1", nil)
	_, err := w.Pull(t.Context(), w.name("none:1"), w.options())
	if err == nil || !strings.Contains(err.Error(), "the list of images is empty") {
		t.Errorf("%v", err)
	}
}
