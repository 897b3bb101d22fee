// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/podunit/podunit/runner/hint"
	"go.podman.io/image/v5/signature"
)

// gpgDir names the directory of a key in the environment of this program where it is executed in
// the place of gpg.
const gpgDir = "PODUNIT_TEST_GPG"

// asGPG does what gpg does with the options that are given to it, with the one key that there is.
func asGPG(dir string, args []string) error {
	file, err := os.Open(filepath.Join(dir, "key"))
	if err != nil {
		return err
	}
	keys, err := openpgp.ReadKeyRing(file)
	if err != nil {
		return err
	}
	name := args[len(args)-1]
	if i := slices.Index(args, "--local-user"); i >= 0 {
		name = args[i+1]
	}
	if name != fingerprint(keys[0]) {
		return fmt.Errorf("gpg: error reading key: No public key")
	}
	if slices.Contains(args, "--list-secret-keys") {
		if args[len(args)-2] != "--" {
			return fmt.Errorf("gpg: %s may be an option", name)
		}
		return nil
	}
	if i := slices.Index(args, "--passphrase-fd"); i >= 0 {
		text, err := io.ReadAll(os.NewFile(3, "passphrase"))
		if err != nil || args[i+1] != "3" || string(text) != "secret\n" {
			return fmt.Errorf("gpg: signing failed: Bad passphrase %q, %w", text, err)
		}
	}
	input, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	out, err := openpgp.Sign(os.Stdout, keys[0], nil, nil)
	if err != nil {
		return err
	}
	_, err = out.Write(input)
	return errors.Join(err, out.Close())
}

func fingerprint(key *openpgp.Entity) string {
	return fmt.Sprintf("%X", key.PrimaryKey.Fingerprint)
}

// signingWorld is a world in which gpg has a key, and signatures have a place.
func signingWorld(t *testing.T) (w *world, key *openpgp.Entity, place string) {
	t.Helper()
	w = newWorld(t)
	key, err := openpgp.NewEntity("tester", "", "tester@localhost", nil)
	if err != nil {
		t.Fatal(err)
	}
	var secret bytes.Buffer
	if err := key.SerializePrivate(&secret, nil); err != nil {
		t.Fatal(err)
	}
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	place = filepath.Join(w.dir, "signatures")
	for path, text := range map[string]string{
		"gpg/key": secret.String(), "gpg/gpg": "#!/bin/sh\n" + gpgDir + "=" + w.dir + "/gpg exec " + own + " \"$@\"\n",
		"registries.d/here.yaml": "default-docker:\n  lookaside: file://" + place + "\n",
	} {
		path = filepath.Join(w.dir, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o700)); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", filepath.Join(w.dir, "gpg"))
	w.base.RegistriesDirPath = filepath.Join(w.dir, "registries.d")
	return w, key, place
}

// TestSignBy: what was sent is signed by gpg, where registries.d says, beside the signatures that
// are there; of a list each image, too.
func TestSignBy(t *testing.T) {
	w, key, place := signingWorld(t)
	arm := w.registry.push(t, "many:arm64", "arm64", v1.ImageConfig{}, one())
	list := w.registry.list(t, "many:1", map[string]pushed{"arm64": arm})
	o := SendOptions{PullOptions: w.options(), SignBy: fingerprint(key)}
	send := func() (digest.Digest, error) { return list, nil }
	for range 2 {
		if _, err := w.signing(t.Context(), w.name("many:1"), o, send); err != nil {
			t.Fatal(err)
		}
		o.Passphrase = []byte("secret")
	}
	found, err := filepath.Glob(filepath.Join(place, "many@*", "signature-*"))
	if err != nil || len(found) != 4 {
		t.Fatalf("%d signatures of a list and its image, made twice: %q, %v", len(found), found, err)
	}
	var public bytes.Buffer
	if err := key.Serialize(&public); err != nil {
		t.Fatal(err)
	}
	mech, ids, err := signature.NewEphemeralGPGSigningMechanism(public.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range found {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		d := strings.ReplaceAll(strings.TrimPrefix(filepath.Base(filepath.Dir(path)), "many@"), "=", ":")
		said, err := signature.VerifyDockerManifestSignature(text, w.registry.manifests["many@"+d], w.name("many:1"), mech, ids[0])
		if err != nil || said.DockerManifestDigest.String() != d {
			t.Errorf("%s: %+v, %v", path, said, err)
		}
	}
}

// TestSignByFails before anything is sent where nothing could be signed, and says so where it was
// sent.
func TestSignByFails(t *testing.T) {
	w, key, place := signingWorld(t)
	sent := 0
	app := w.registry.push(t, "app:1", "", v1.ImageConfig{}, one())
	send := func() (digest.Digest, error) {
		sent++
		return app.manifest, nil
	}
	for _, c := range []struct{ to, key, passphrase, want string }{
		{w.name("app:1"), "nobody", "", "--sign-by: gpg: gpg: error reading key: No public key"},
		{"dir:" + w.dir + "/x", fingerprint(key), "", "--sign-by signs what goes to a registry"},
		{w.name("app:1"), fingerprint(key), "wrong", w.name("app:1") + " was sent, but not signed: --sign-by: gpg: gpg: signing failed: Bad passphrase"},
	} {
		o := SendOptions{PullOptions: w.options(), SignBy: c.key}
		if c.passphrase != "" {
			o.Passphrase = []byte(c.passphrase)
		}
		if _, err := w.signing(t.Context(), c.to, o, send); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s by %s: %v; want %s", c.to, c.key, err, c.want)
		}
	}
	if sent != 1 {
		t.Errorf("%d times something was sent", sent)
	}
	t.Setenv("PATH", w.dir)
	_, err := w.signing(context.Background(), w.name("app:1"), SendOptions{PullOptions: w.options(), SignBy: fingerprint(key)}, send)
	if err == nil || !strings.Contains(hint.Of(err), "apt install gpg") || sent != 1 {
		t.Errorf("without gpg: %v", err)
	}
	if _, err := os.Stat(place); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("there are signatures: %v", err)
	}
}

// TestSignByOfALie: nothing is signed but what was sent, whatever the registry answers when it is
// asked for that.
func TestSignByOfALie(t *testing.T) {
	w, key, place := signingWorld(t)
	arm := w.registry.push(t, "many:arm64", "arm64", v1.ImageConfig{}, one())
	list := w.registry.list(t, "many:1", map[string]pushed{"arm64": arm})
	other := w.registry.push(t, "other:1", "", v1.ImageConfig{}, map[string][]byte{"other": []byte("other")})
	for _, lie := range []digest.Digest{arm.manifest, list} { // the second time nothing is signed at all
		w.registry.set(func() {
			key := "many@" + lie.String()
			w.registry.manifests[key], w.registry.types[key] = w.registry.manifests["other@"+other.manifest.String()], v1.MediaTypeImageManifest
		})
		o := SendOptions{PullOptions: w.options(), SignBy: fingerprint(key)}
		_, err := w.signing(t.Context(), w.name("many:1"), o, func() (digest.Digest, error) { return list, nil })
		if err == nil || !strings.Contains(err.Error(), "answers with another manifest than "+lie.String()) {
			t.Errorf("a lie about %s: %v", lie, err)
		}
		signed, err := filepath.Glob(filepath.Join(place, "many@*", "signature-*"))
		if err != nil || len(signed) != 1 || !strings.Contains(signed[0], list.Encoded()) {
			t.Errorf("a lie about %s: %q, %v", lie, signed, err)
		}
	}
}
