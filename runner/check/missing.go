// SPDX-License-Identifier: Apache-2.0

package check

import (
	"path"
	"slices"
	"strings"
)

// missingPath is the way out for a host path that is not there, mounted at inside. A directory can
// just be made; an empty directory in the place of a file or a socket would only hide the mistake.
func missingPath(host, inside string) string {
	switch {
	case socket(host) || socket(inside):
		return "it looks like a socket: start what makes it first, as with After= and Requires= in [Unit], or mount the directory that it will be in"
	case file(host) || file(inside):
		return "it looks like a file: write it first, or correct the path"
	case strings.HasPrefix(host, "/dev/") || strings.HasPrefix(host, "/proc/") || strings.HasPrefix(host, "/sys/"):
		return "the kernel makes it, if this machine has the device and its driver is loaded"
	}
	if strings.ContainsFunc(host, func(r rune) bool { return strings.ContainsRune(" \t\n'\"\\&;|<>()*?[]#~`!$", r) }) {
		host = "'" + strings.ReplaceAll(host, "'", `'\''`) + "'"
	}
	return "mkdir -p " + host
}

// socket tells a path that people use for a socket.
func socket(p string) bool {
	return strings.HasSuffix(p, ".sock") || strings.HasSuffix(p, ".socket") || strings.HasPrefix(p, "/run/") && !strings.HasPrefix(p, "/run/media/") && !strings.HasPrefix(p, "/run/user/") ||
		strings.HasPrefix(p, "/var/run/")
}

// file tells a path that people use for a file: by a known name, or by an extension that is no
// version and not that of a directory of snippets.
func file(p string) bool {
	if strings.HasSuffix(p, "/") {
		return false
	}
	base := path.Base(p)
	known := []string{
		"localtime", "timezone", "passwd", "group", "shadow", "hosts", "hostname", "machine-id", "resolv.conf", "fstab", "Dockerfile", "Containerfile", "Caddyfile",
		"Corefile", "Makefile", "authorized_keys", "known_hosts", "id_rsa", "id_ed25519", ".env", ".netrc", ".htpasswd", ".bashrc", ".gitconfig", ".npmrc",
	}
	if slices.Contains(known, base) {
		return true
	}
	ext := strings.TrimPrefix(path.Ext(base), ".")
	if ext == "" || base == "."+ext || ext == "d" || strings.Trim(ext, "0123456789") == "" {
		return false
	}
	// example.com is as often a directory as a file.
	extensions := strings.Fields("conf cfg cnf config ini env yml yaml json json5 jsonc toml xml txt md sh bash py js ts php lua sql db sqlite sqlite3 kdbx pem crt cer key csr pub p12 pfx " +
		"jks pid log lock list rules properties service html htm css png jpg jpeg svg ico gz xz zst zip tar tgz bz2 iso img qcow2 so jar war vcl tmpl tpl template j2 acl htpasswd secret password token csv")
	return slices.Contains(extensions, strings.ToLower(ext))
}
