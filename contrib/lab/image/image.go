// SPDX-License-Identifier: Apache-2.0

// Package image makes the container images of the lab from Debian packages and lays them into the
// directory that the lab's registry serves: real programs, with the traits of the official images
// that make trouble (logs that are links to /dev/stdout, a user other than root, volumes, health
// checks, whiteouts, stop signals).
//
//	busybox       static busybox, one small layer
//	nginx         logs through /dev/stdout and /dev/stderr, ENTRYPOINT with CMD, STOPSIGNAL SIGQUIT, port 80
//	redis         USER redis, VOLUME /data, ENTRYPOINT with CMD, HEALTHCHECK; the one image in Docker's format, as only
//	              that has health checks
//	qbittorrent   qbittorrent-nox, web interface on 8988, VOLUMEs /config and /downloads
//	transmission  web interface on 7878, VOLUMEs /config and /downloads: the media pod's first manager
//	lighttpd      lists /downloads on 8989: the media pod's second manager
//	layers        several layers with whiteouts; its command checks what must be left
//	big           busybox and 40 MiB that do not compress
//
// Each has the tag latest, which is 1, and a tag 2 with one more layer (/etc/image-version) for
// updates. nginx also has a tag broken, whose command fails at once.
package image

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/podunit/podunit/contrib/lab/cache"
	"github.com/podunit/podunit/contrib/lab/rootfs"
)

// The sources of this package are the recipe.
//
//go:embed image.go layer.go registry.go
var sources embed.FS

// Key names the recipe: the same sources of this package give the same key.
func Key() (string, error) {
	h := sha256.New()
	h.Write([]byte(rootfs.Suite + runtime.GOARCH))
	entries, err := sources.ReadDir(".")
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		data, err := sources.ReadFile(e.Name())
		if err != nil {
			return "", err
		}
		h.Write(data)
	}
	return "images-" + hex.EncodeToString(h.Sum(nil)[:6]), nil
}

// Make returns a directory to lay over the root filesystem: the registry's data below
// /var/lib/docker-registry. The images are made first if the cache has none for this recipe, which
// takes about a minute. It is shared by all labs: never write to it.
func Make(ctx context.Context, c cache.Dir, log io.Writer) (string, error) {
	k, err := Key()
	if err != nil {
		return "", err
	}
	return c.Make(k, func(dir string) error {
		fmt.Fprintln(log, "making the container images from Debian packages (cached afterwards)")
		work, err := os.MkdirTemp(string(c), "work-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(work)
		reg := registry(filepath.Join(dir, "var/lib/docker-registry"))
		if err := os.MkdirAll(string(reg), 0o755); err != nil {
			return err
		}
		b := builder{registry: reg, work: work, log: log}
		if err := b.all(ctx); err != nil {
			return fmt.Errorf("make images: %w", err)
		}
		return open(dir)
	})
}

type builder struct {
	registry
	work string
	log  io.Writer
}

// image is what a Containerfile would say.
type image struct {
	name     string
	packages string // of Debian, besides those of the base
	static   bool   // no base: the busybox layer is all it stands on
	entries  []entry
	layers   [][]entry // further layers
	docker   bool
	run      runConfig
}

func (b builder) all(ctx context.Context) error {
	busybox, err := b.busybox(ctx)
	if err != nil {
		return err
	}
	base, err := b.base(ctx, busybox)
	if err != nil {
		return err
	}
	// Two at a time: downloading one while the other is compressed.
	var wg sync.WaitGroup
	slots := make(chan struct{}, 2)
	list := images()
	errs := make([]error, len(list))
	for i, img := range list {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			below := []layer{busybox, base}
			if img.static {
				below = below[:1]
			}
			if err := b.image(ctx, img, below); err != nil {
				errs[i] = fmt.Errorf("%s: %w", img.name, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// unpack gives the files of packages and all they depend on.
func (b builder) unpack(ctx context.Context, name, packages string) (string, error) {
	dir := filepath.Join(b.work, name)
	// Its chatter says nothing as long as it works.
	var out bytes.Buffer
	if err := rootfs.Bootstrap(ctx, &out, dir, "extract", strings.Fields(packages)); err != nil {
		return "", fmt.Errorf("%w: %s", err, out.String())
	}
	return dir, nil
}

// keep leaves out what only a machine needs.
func keep(name string) bool {
	for _, p := range []string{
		"dev", "usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "usr/share/lintian", "usr/share/bug",
		"usr/share/perl5", "usr/share/debconf", "usr/share/bash-completion", "usr/share/applications", "usr/share/icons",
		"usr/lib/systemd", "usr/lib/udev", "etc/init.d", "etc/default", "etc/cron.daily", "etc/logrotate.d", "etc/systemd", "var/cache", "var/lib/apt", "var/lib/dpkg",
	} {
		if name == p || strings.HasPrefix(name, p+"/") {
			return false
		}
	}
	return true
}

const (
	passwd = "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\nwww-data:x:33:33:www-data:/var/www:/bin/false\nnobody:x:65534:65534:nobody:/home:/bin/false\n"
	group  = "root:x:0:\ndaemon:x:1:\ntty:x:5:\nwww-data:x:33:\nnogroup:x:65534:\n"
)

func (b builder) busybox(ctx context.Context) (layer, error) {
	tree, err := b.unpack(ctx, "busybox", "busybox-static")
	if err != nil {
		return layer{}, err
	}
	out, err := exec.CommandContext(ctx, filepath.Join(tree, "usr/bin/busybox"), "--list").Output()
	if err != nil {
		return layer{}, fmt.Errorf("busybox --list: %w", err)
	}
	entries := []entry{
		link("bin", "usr/bin"), link("sbin", "usr/sbin"), link("lib", "usr/lib"), link("lib64", "usr/lib64"),
		dir("usr/sbin"), dir("usr/lib"), dir("usr/lib64"), dir("etc"), dir("proc"), dir("sys"), dir("dev"), dir("run"), dir("home"),
		moded(dir("root"), 0o700), moded(dir("tmp"), 0o777|os.ModeSticky), dir("var"), link("var/run", "/run"), moded(dir("var/tmp"), 0o777|os.ModeSticky),
		file("etc/passwd", passwd), file("etc/group", group),
	}
	for _, applet := range strings.Fields(string(out)) {
		if applet != "busybox" {
			entries = append(entries, link("usr/bin/"+applet, "busybox"))
		}
	}
	only := func(name string) bool {
		return name == "usr" || name == "usr/bin" || name == "usr/bin/busybox"
	}
	return b.layer(content{name: "busybox-static", tree: tree, keep: only, entries: entries})
}

// base is what programs that are linked dynamically stand on; tzdata makes TZ= work, libc-bin has
// the locale C.UTF-8.
func (b builder) base(ctx context.Context, busybox layer) (layer, error) {
	tree, err := b.unpack(ctx, "base", "libc6 libc-bin libgcc-s1 libstdc++6 zlib1g libssl3t64 tzdata netbase")
	if err != nil {
		return layer{}, err
	}
	return b.layer(content{name: "libc6 tzdata ...", tree: tree, keep: keep, below: []layer{busybox}})
}

func (b builder) image(ctx context.Context, img image, below []layer) error {
	layers := below[:len(below):len(below)]
	if img.packages != "" || img.entries != nil {
		c := content{name: img.name, keep: keep, entries: img.entries, below: below}
		if img.packages != "" {
			var err error
			if c.tree, err = b.unpack(ctx, img.name, img.packages); err != nil {
				return err
			}
		}
		l, err := b.layer(c)
		if err != nil {
			return err
		}
		layers = append(layers, l)
	}
	for i, entries := range img.layers {
		l, err := b.layer(content{name: fmt.Sprintf("%s step %d", img.name, i+1), entries: entries, below: layers})
		if err != nil {
			return err
		}
		layers = append(layers, l)
	}
	push := func(version string, run runConfig, layers []layer, tags ...string) error {
		run.Labels = map[string]string{"org.opencontainers.image.title": img.name, "org.opencontainers.image.version": version}
		run.Env = append([]string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, run.Env...)
		for _, tag := range tags {
			if err := b.push(img.name, tag, run, img.docker, layers, runtime.GOARCH); err != nil {
				return err
			}
		}
		return nil
	}
	if err := push("1", img.run, layers, "latest", "1"); err != nil {
		return err
	}
	two, err := b.layer(content{name: "version 2", entries: []entry{file("etc/image-version", "2\n")}, below: layers})
	if err != nil {
		return err
	}
	layers = append(layers, two)
	if err := push("2", img.run, layers, "2"); err != nil {
		return err
	}
	if img.name == "nginx" {
		broken := img.run
		broken.Cmd = []string{"sh", "-c", "echo this version is broken >&2; exit 1"}
		return push("broken", broken, layers, "broken")
	}
	return nil
}

func set(names ...string) map[string]struct{} {
	m := map[string]struct{}{}
	for _, n := range names {
		m[n] = struct{}{}
	}
	return m
}

func images() []image {
	return []image{
		{
			name:     "qbittorrent",
			packages: "qbittorrent-nox",
			entries:  []entry{dir("config"), dir("downloads")},
			run: runConfig{
				Env:          []string{"LC_ALL=C.UTF-8", "HOME=/config", "XDG_CONFIG_HOME=/config", "XDG_DATA_HOME=/config"},
				Entrypoint:   []string{"/usr/bin/qbittorrent-nox"},
				Cmd:          []string{"--confirm-legal-notice", "--profile=/config", "--webui-port=8988"},
				ExposedPorts: set("8988/tcp"),
				Volumes:      set("/config", "/downloads"),
				WorkingDir:   "/config",
			},
		},
		{
			name:     "nginx",
			packages: "nginx",
			entries: []entry{
				link("var/log/nginx/access.log", "/dev/stdout"), link("var/log/nginx/error.log", "/dev/stderr"),
				file("usr/share/nginx/html/index.html", "<!DOCTYPE html>\n<title>Welcome to nginx!</title>\n<h1>Welcome to nginx!</h1>\n"),
				file("etc/nginx/conf.d/default.conf", "server {\n\tlisten 80 default_server;\n\troot /usr/share/nginx/html;\n}\n"),
				script("docker-entrypoint.sh", "#!/bin/sh\nset -e\necho \"$0: ready for start up\"\nexec \"$@\"\n"),
			},
			run: runConfig{
				Entrypoint:   []string{"/docker-entrypoint.sh"},
				Cmd:          []string{"nginx", "-g", "daemon off;"},
				ExposedPorts: set("80/tcp"),
				StopSignal:   "SIGQUIT",
			},
		},
		{
			name:     "transmission",
			packages: "transmission-daemon",
			entries:  []entry{dir("config"), dir("downloads")},
			run: runConfig{
				Entrypoint: []string{"/usr/bin/transmission-daemon"},
				Cmd: []string{"--foreground", "--config-dir", "/config", "--download-dir", "/downloads", "--port", "7878",
					"--allowed", "*.*.*.*", "--no-auth", "--no-dht", "--no-lpd", "--no-portmap"},
				Env:          []string{"HOME=/config"},
				ExposedPorts: set("7878/tcp"),
				Volumes:      set("/config", "/downloads"),
			},
		},
		{
			name:     "redis",
			packages: "redis-server redis-tools",
			entries: []entry{
				file("etc/passwd", passwd+"redis:x:999:999:redis:/data:/bin/false\n"), file("etc/group", group+"redis:x:999:\n"),
				owned(dir("data"), 999),
				script("usr/local/bin/docker-entrypoint.sh", "#!/bin/sh\nset -e\n# options alone mean: to the server\ncase $1 in -*) set -- redis-server \"$@\" ;; esac\nexec \"$@\"\n"),
			},
			docker: true,
			run: runConfig{
				User:         "redis",
				Entrypoint:   []string{"docker-entrypoint.sh"},
				Cmd:          []string{"redis-server", "--protected-mode", "no"},
				ExposedPorts: set("6379/tcp"),
				Volumes:      set("/data"),
				WorkingDir:   "/data",
				Healthcheck: &healthcheck{
					Test:     []string{"CMD-SHELL", "redis-cli ping | grep -q PONG"},
					Interval: 5 * time.Second, Timeout: 3 * time.Second, Retries: 3,
				},
			},
		},
		{
			name:     "lighttpd",
			packages: "lighttpd",
			entries: []entry{
				dir("downloads"), dir("config"),
				file("etc/lighttpd/lighttpd.conf", `server.port = 8989
server.document-root = "/downloads"
server.modules = ( "mod_dirlisting", "mod_accesslog" )
server.upload-dirs = ( "/tmp" )
accesslog.filename = "/dev/stdout"
dir-listing.activate = "enable"
`),
			},
			run: runConfig{
				Cmd:          []string{"lighttpd", "-D", "-f", "/etc/lighttpd/lighttpd.conf"},
				ExposedPorts: set("8989/tcp"),
				Volumes:      set("/config", "/downloads"),
			},
		},
		{name: "busybox", static: true, run: runConfig{Cmd: []string{"sh"}}},
		{
			name:   "layers",
			static: true,
			layers: [][]entry{
				{
					dir("data"), file("data/keep", "first\n"), file("data/gone", "x"), file("data/dir/a", "x"), file("data/dir/b", "b\n"),
					file("data/opaque/old", "x"), file("data/opaque/deep/old", "x"), file("data/tree/x/y", "x"), link("data/link", "keep"),
					moded(script("data/setuid", "x"), 0o755|os.ModeSetuid), owned(moded(file("data/owned", "x"), 0o600), 1234),
					file("data/becomes-dir", "x"), file("data/becomes-file/x", "x"),
				},
				{
					whiteout("data/gone"), whiteout("data/dir/a"), dir("data/opaque"), opaque("data/opaque"), file("data/opaque/new", "new\n"),
					whiteout("data/tree"), dir("data/becomes-dir"), file("data/becomes-dir/x", "x\n"), file("data/becomes-file", "x\n"),
				},
				{
					file("data/keep", "second\n"),
					file("data/dir/a", "back\n"),
					script("check", `#!/bin/sh
bad() { echo "layers: $*" >&2; exit 1; }
[ "$(cat /data/keep)" = second ] || bad keep
[ ! -e /data/gone ] || bad gone
[ "$(cat /data/dir/a)" = back ] && [ "$(cat /data/dir/b)" = b ] || bad dir
[ "$(ls /data/opaque)" = new ] || bad opaque: $(ls /data/opaque)
[ ! -e /data/tree ] || bad tree
[ -f /data/becomes-dir/x ] && [ -f /data/becomes-file ] || bad change of kind
[ "$(readlink /data/link)" = keep ] || bad link
[ -u /data/setuid ] || bad setuid
[ "$(stat -c %u:%g:%a /data/owned)" = 1234:1234:600 ] || bad owned: $(stat -c %u:%g:%a /data/owned)
[ "$(find /data -name '.wh.*' | wc -l)" = 0 ] || bad whiteout left: $(find /data -name '.wh.*')
echo layers ok
`),
				},
			},
			run: runConfig{Cmd: []string{"/check"}},
		},
		{
			name:   "big",
			static: true,
			layers: [][]entry{{{name: "big", data: noise(40 << 20)}}},
			run:    runConfig{Cmd: []string{"sh", "-c", "ls -l /big"}},
		},
	}
}

// noise is always the same and does not compress.
func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{}).Read(b) // never fails
	return b
}
