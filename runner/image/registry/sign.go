// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/podunit/podunit/runner/hint"
	"go.podman.io/image/v5/docker"
	"go.podman.io/image/v5/docker/reference"
	"go.podman.io/image/v5/manifest"
	"go.podman.io/image/v5/signature"
	"go.podman.io/image/v5/transports/alltransports"
	"go.podman.io/image/v5/types"
)

// gpg signs with the program of that name; what is left, the library does.
type gpg struct {
	signature.SigningMechanism
	ctx        context.Context
	passphrase []byte // nil leaves the question to gpg-agent
}

// SupportsSigning is what the library asks before it signs.
func (gpg) SupportsSigning() error { return nil }

// Sign signs with a key of the user's, which may be named in each way that gpg knows.
func (g gpg) Sign(input []byte, key string) ([]byte, error) {
	return g.run(input, "--local-user", key, "--output", "-", "--sign")
}

// run runs gpg.
func (g gpg) run(input []byte, args ...string) ([]byte, error) {
	args = append([]string{"--batch", "--no-tty", "--quiet"}, args...)
	if g.passphrase != nil {
		args = append([]string{"--pinentry-mode", "loopback", "--passphrase-fd", "3"}, args...)
	}
	cmd := exec.CommandContext(g.ctx, "gpg", args...)
	var said bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(input), &said
	if g.passphrase != nil {
		in, out, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		defer in.Close()
		cmd.ExtraFiles = []*os.File{in}
		if _, err := out.Write(append(bytes.Clone(g.passphrase), '\n')); err != nil { // a pipe holds more than any passphrase
			return nil, errors.Join(err, out.Close())
		}
		out.Close()
	}
	signed, err := cmd.Output()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return nil, hint.With(errors.New("--sign-by: there is no gpg"), "apt install gpg, or --sign-by-sigstore-private-key FILE, which needs no other program")
	case err != nil:
		return nil, fmt.Errorf("--sign-by: gpg: %s (%w)", strings.TrimSpace(said.String()), err)
	}
	return signed, nil
}

// agent notes whether an agent of gpg's runs. One that does not is started by gpg, in the
// namespaces that we are in, and would stay there; end ends it.
func (g gpg) agent() (end func()) {
	said, err := exec.CommandContext(g.ctx, "gpg-connect-agent", "--no-autostart", "GETINFO pid", "/bye").Output()
	if err != nil || len(said) > 0 { // there is no such program, or an agent has answered
		return func() {}
	}
	return func() { _ = exec.Command("gpgconf", "--kill", "gpg-agent").Run() } // a process too many is no fault of the signature
}

// signer makes ready to sign what goes to a destination. It fails before anything is sent where
// nothing could be signed.
func (o SendOptions) signer(ctx context.Context, to string) (gpg, types.ImageReference, error) {
	g := gpg{ctx: ctx, passphrase: o.Passphrase}
	name := to
	if alltransports.TransportFromImageName(name) == nil {
		name = "docker://" + name
	}
	ref, err := alltransports.ParseImageName(name)
	if err != nil {
		return g, nil, err
	}
	if ref.Transport().Name() != docker.Transport.Name() {
		return g, nil, hint.With(fmt.Errorf("--sign-by signs what goes to a registry, and %s is none", to), "skopeo copy --sign-by signs in other places")
	}
	defer g.agent()() // gpg asks one which keys there are
	if _, err := g.run(nil, "--list-secret-keys", "--", o.SignBy); err != nil {
		return g, nil, err
	}
	g.SigningMechanism, _, err = signature.NewEphemeralGPGSigningMechanism(nil) // it is to verify nothing
	return g, ref, err
}

// sign signs a manifest at its destination, and where that is a list also each of the list's.
func (im *Images) sign(g gpg, ref types.ImageReference, d digest.Digest, o SendOptions) error {
	sys, err := systemContext(o.PullOptions, im.base)
	if err != nil {
		return err
	}
	named := ref.DockerReference()
	exact, err := reference.WithDigest(reference.TrimNamed(named), d)
	if err != nil {
		return err
	}
	at, err := docker.NewReference(exact)
	if err != nil {
		return err
	}
	text, before, err := signedSoFar(g.ctx, at, sys, o.DropSignatures)
	if err != nil {
		return err
	}
	// A registry, or a mirror that is asked first, may answer with whatever it wants to have signed.
	if same, err := manifest.MatchesDigest(text, d); err != nil || !same {
		return errors.Join(fmt.Errorf("--sign-by: the registry, or a mirror of it, answers with another manifest than %s", d), err)
	}
	signed, err := signature.SignDockerManifest(text, named.String(), g, o.SignBy)
	if err != nil {
		return err
	}
	to, err := ref.NewImageDestination(g.ctx, sys)
	if err != nil {
		return err
	}
	err = errors.Join(to.PutSignatures(g.ctx, append(before, signed), &d), to.Close())
	if kind := manifest.GuessMIMEType(text); err != nil || !manifest.MIMETypeIsMultiImage(kind) {
		return err
	}
	list, err := manifest.ListFromBlob(text, manifest.GuessMIMEType(text))
	if err != nil {
		return err
	}
	for _, one := range list.Instances() {
		if err := im.sign(g, ref, one, o); err != nil {
			return err
		}
	}
	return nil
}

// signedSoFar reads a manifest and the signatures that it has already; none with drop.
func signedSoFar(ctx context.Context, at types.ImageReference, sys *types.SystemContext, drop bool) (text []byte, signatures [][]byte, err error) {
	from, err := at.NewImageSource(ctx, sys)
	if err != nil {
		return nil, nil, err
	}
	defer from.Close()
	if text, _, err = from.GetManifest(ctx, nil); err != nil || drop {
		return text, nil, err
	}
	signatures, err = from.GetSignatures(ctx, nil)
	return text, signatures, err
}

// signing is what a copy to a destination does with --sign-by: send copies, and what it has sent is
// signed.
func (im *Images) signing(ctx context.Context, to string, o SendOptions, send func() (digest.Digest, error)) (digest.Digest, error) {
	if o.SignBy == "" {
		return send()
	}
	g, ref, err := o.signer(ctx, to)
	if err != nil {
		return "", err
	}
	d, err := send()
	if err != nil {
		return "", err
	}
	if o.Progress != nil {
		_, _ = io.WriteString(o.Progress, "Signing with gpg\n")
	}
	defer g.agent()()
	if err := im.sign(g, ref, d, o); err != nil {
		return "", fmt.Errorf("%s was sent, but not signed: %w", to, err)
	}
	return d, nil
}
