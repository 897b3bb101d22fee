// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// payload is what a signature signs: an image by its manifest, and its name. Source:
// containers-signature(5).
func payload(kind, name string, manifest digest.Digest) []byte {
	return fmt.Appendf(nil, `{"critical":{"type":%q,"image":{"docker-manifest-digest":%q},"identity":{"docker-reference":%q}},"optional":{"creator":"a test","timestamp":1700000000}}`, kind, manifest, name)
}

// simple is a simple signature: the payload as a message of OpenPGP, signed.
func simple(t *testing.T, key *openpgp.Entity, name string, manifest digest.Digest) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := openpgp.Sign(&out, key, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(payload("atomic container signature", name, manifest)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// attach puts a signature with a key beside an image, as cosign does. Source: cosign,
// SIGNATURE_SPEC.md.
func (w *world) attach(key *ecdsa.PrivateKey, repository, name string, signed, at digest.Digest) {
	w.t.Helper()
	blob := payload("cosign container image signature", name, signed)
	hash := sha256.Sum256(blob)
	signature, err := key.Sign(rand.Reader, hash[:], crypto.SHA256)
	if err != nil {
		w.t.Fatal(err)
	}
	config := []byte("{}")
	w.registry.set(func() {
		w.registry.blobs[digest.FromBytes(blob)], w.registry.blobs[digest.FromBytes(config)] = blob, config
	})
	w.registry.put(repository+":"+strings.ReplaceAll(at.String(), ":", "-")+".sig", v1.MediaTypeImageManifest, asJSON(w.t, v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest,
		Config: v1.Descriptor{MediaType: v1.MediaTypeImageConfig, Digest: digest.FromBytes(config), Size: int64(len(config))},
		Layers: []v1.Descriptor{{MediaType: "application/vnd.dev.cosign.simplesigning.v1+json", Digest: digest.FromBytes(blob), Size: int64(len(blob)),
			Annotations: map[string]string{"dev.cosignproject.cosign/signature": base64.StdEncoding.EncodeToString(signature)}}},
	}))
}

// TestSignatures: what policy.json wants signed is pulled if the right key has signed this image by
// this name, and not when nobody has, somebody else has, or what was signed is another image.
func TestSignatures(t *testing.T) {
	w := newWorld(t)
	write := func(name string, data []byte) string {
		t.Helper()
		path := filepath.Join(w.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	var pgp [2]*openpgp.Entity
	var ec [2]*ecdsa.PrivateKey
	for i := range pgp {
		var err error
		if pgp[i], err = openpgp.NewEntity("test", "", "test@example.org", &packet.Config{Algorithm: packet.PubKeyAlgoRSA, RSABits: 2048}); err != nil {
			t.Fatal(err)
		}
		if ec[i], err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	var ring bytes.Buffer
	if err := pgp[0].Serialize(&ring); err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&ec[0].PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	keyring, key := write("key.gpg", ring.Bytes()), write("key.pub", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	write("home/.config/containers/registries.d/test.yaml", fmt.Appendf(nil, "docker:\n  %s:\n    lookaside: file://%s\n    use-sigstore-attachments: true\n", w.registry.host, filepath.Join(w.dir, "signatures")))
	write("home/.config/containers/policy.json", fmt.Appendf(nil, `{"default":[{"type":"reject"}],"transports":{"docker":{
		"%[1]s/simple":[{"type":"signedBy","keyType":"GPGKeys","keyPath":%[2]q}],
		"%[1]s/cosigned":[{"type":"sigstoreSigned","keyPath":%[3]q,"signedIdentity":{"type":"matchRepository"}}],
		"%[1]s/open":[{"type":"insecureAcceptAnything"}]},"containers-storage":{"":[{"type":"insecureAcceptAnything"}]}}}`, w.registry.host, keyring, key))

	images := map[string]digest.Digest{}
	for _, repository := range []string{"simple", "cosigned"} {
		for i, tag := range []string{"good", "unsigned", "stranger", "tampered", "renamed"} {
			name := repository + ":" + tag
			images[name] = w.registry.push(t, name, "", v1.ImageConfig{Env: []string{"N=" + name, fmt.Sprint("I=", i)}}, one()).manifest
		}
	}
	lookaside := func(tag string, signature []byte) {
		write(fmt.Sprintf("signatures/simple@%s/signature-1", strings.Replace(images["simple:"+tag].String(), ":", "=", 1)), signature)
	}
	good := w.name("simple:good")
	lookaside("good", simple(t, pgp[0], good, images["simple:good"]))
	lookaside("stranger", simple(t, pgp[1], w.name("simple:stranger"), images["simple:stranger"]))
	lookaside("tampered", simple(t, pgp[0], w.name("simple:tampered"), images["simple:good"]))
	lookaside("renamed", simple(t, pgp[0], good, images["simple:renamed"]))
	repository := w.name("cosigned")
	w.attach(ec[0], "cosigned", repository, images["cosigned:good"], images["cosigned:good"])
	w.attach(ec[1], "cosigned", repository, images["cosigned:stranger"], images["cosigned:stranger"])
	w.attach(ec[0], "cosigned", repository, images["cosigned:good"], images["cosigned:tampered"])
	w.attach(ec[0], "cosigned", w.name("other"), images["cosigned:renamed"], images["cosigned:renamed"])
	w.registry.push(t, "open:1", "", v1.ImageConfig{}, one())
	w.registry.push(t, "closed:1", "", v1.ImageConfig{}, one())

	for name, want := range map[string]string{
		"simple:good": "", "simple:unsigned": "A signature was required, but no signature exists", "simple:stranger": "Source image rejected: Key not found", "simple:tampered": "signature policy: Signature for digest", "simple:renamed": "signature policy: Signature for identity",
		"cosigned:good": "", "cosigned:unsigned": "A signature was required, but no signature exists", "cosigned:stranger": "Source image rejected: cryptographic signature verification failed", "cosigned:tampered": "signature policy: Signature for digest", "cosigned:renamed": "signature policy: Signature for identity",
		"open:1": "", "closed:1": "is rejected by policy",
	} {
		img, err := w.Pull(context.Background(), w.name(name), w.options())
		switch {
		case want == "" && (err != nil || images[name] != "" && img.Digest != images[name]):
			t.Errorf("%s: %+v, %v", name, img, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
		if _, err := w.Lookup(context.Background(), w.name(name)); (err == nil) != (want == "") {
			t.Errorf("%s, in the storage: %v", name, err)
		}
	}

	// Archives have no place for signatures, and are made without.
	for _, name := range []string{"simple:good", "cosigned:good"} {
		stored, _, err := w.Find(w.name(name))
		if err != nil {
			t.Fatal(err)
		}
		if len(stored.Metadata) == 0 || !strings.Contains(stored.Metadata, "signatures-sizes") {
			t.Errorf("%s has no signature in the storage: %s", name, stored.Metadata)
		}
		for _, to := range []string{filepath.Join(w.dir, "new.tar"), "/dev/null"} {
			if err := w.Save(context.Background(), []string{w.name(name)}, "docker-archive", to, SendOptions{}); err != nil {
				t.Errorf("%s, to %s: %v", name, to, err)
			}
			_ = os.Remove(filepath.Join(w.dir, "new.tar"))
		}
	}
}
