// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/podunit/podunit/runner/image"
	"github.com/podunit/podunit/runner/safe"
	"go.podman.io/common/libimage"
	"go.podman.io/image/v5/types"
	"golang.org/x/sys/unix"
)

// TestGivenFiles: files with credentials and keys lie where somebody else may put something in their
// place. The libraries would read a device until there is no memory left.
func TestGivenFiles(t *testing.T) {
	dir := t.TempDir()
	huge, large, pipe := filepath.Join(dir, "huge"), filepath.Join(dir, "large"), filepath.Join(dir, "pipe")
	if err := errors.Join(os.WriteFile(huge, nil, 0o600), os.Truncate(huge, 8<<20+1), os.WriteFile(large, nil, 0o600), os.Truncate(large, 1<<20+1), unix.Mkfifo(pipe, 0o600)); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{huge: safe.ErrTooLarge, "/dev/zero": safe.ErrNotRegular, pipe: safe.ErrNotRegular} {
		_, pulled := systemContext(image.PullOptions{AuthFile: path}, types.SystemContext{})
		_, sent := SendOptions{PullOptions: image.PullOptions{AuthFile: path}}.copying()
		_, searched := (&Images{}).Search(t.Context(), "x", libimage.SearchOptions{Authfile: path})
		t.Setenv("REGISTRY_AUTH_FILE", path)
		_, said := systemContext(image.PullOptions{}, types.SystemContext{})
		t.Setenv("REGISTRY_AUTH_FILE", "")
		for what, err := range map[string]error{"pull": pulled, "push": sent, "search": searched, "REGISTRY_AUTH_FILE": said} {
			if !errors.Is(err, want) {
				t.Errorf("%s with credentials in %s: %v", what, path, err)
			}
		}
	}
	for _, name := range []string{"ca.crt", "client.cert", "client.key"} {
		for file, want := range map[string]error{large: safe.ErrTooLarge, "/dev/zero": safe.ErrNotRegular, pipe: safe.ErrNotRegular, "/dev/null": nil} {
			certs := t.TempDir()
			if err := os.Symlink(file, filepath.Join(certs, name)); err != nil {
				t.Fatal(err)
			}
			_, pulled := systemContext(image.PullOptions{CertDir: certs}, types.SystemContext{})
			_, sent := SendOptions{PullOptions: image.PullOptions{CertDir: certs}}.copying()
			for what, err := range map[string]error{"pull": pulled, "push": sent, "login": Certificates(certs)} {
				if !errors.Is(err, want) {
					t.Errorf("%s with %s of %s: %v", what, name, file, err)
				}
			}
			if want == nil {
				continue
			}
			_, searched := (&Images{}).Search(t.Context(), "x", libimage.SearchOptions{CertDirPath: certs})
			if !errors.Is(searched, want) {
				t.Errorf("search: %v", searched)
			}
		}
	}
	for _, word := range []string{large, large + ":pass=x", "jwe:" + large, dir + "/none:file=" + large} {
		if _, err := decryption(image.PullOptions{DecryptionKeys: []string{word}}); !errors.Is(err, safe.ErrTooLarge) {
			t.Errorf("decryption key %s: %v", word, err)
		}
		if _, err := (SendOptions{EncryptionKeys: []string{word}}).copying(); !errors.Is(err, safe.ErrTooLarge) {
			t.Errorf("encryption key %s: %v", word, err)
		}
	}
	if _, err := (SendOptions{SignKey: large}).copying(); !errors.Is(err, safe.ErrTooLarge) {
		t.Errorf("key to sign with: %v", err)
	}
	if _, err := (SendOptions{SignKey: "/dev/zero"}).copying(); !errors.Is(err, safe.ErrNotRegular) {
		t.Errorf("a device to sign with: %v", err)
	}
	if err := Credentials(large); err != nil {
		t.Errorf("credentials may have more: %v", err)
	}
	// A key may come through a pipe.
	if _, err := (SendOptions{SignKey: pipe}).copying(); err != nil {
		t.Errorf("key to sign with: %v", err)
	}
}
