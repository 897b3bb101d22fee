// SPDX-License-Identifier: Apache-2.0

package image

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/image/registry"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// SendFlags are the flags of verbs that copy images out of the storage.
type SendFlags struct {
	// Format is that of the manifest, oci, v2s2 or v2s1; a verb that has the flag sets it.
	Format string
	// DigestFile is the path that the digest of the manifest is to be written to; empty is none.
	DigestFile string

	set                               *pflag.FlagSet
	quiet, tlsVerify                  bool
	authfile, creds, certDir, backoff string
	retries                           uint
	dropSignatures                    bool

	compression               string
	level                     int
	forceCompressed, compress bool

	signKey, signBy, passphraseFile string
	encryptionKeys                  []string
	encryptLayers                   []int
}

// Register registers all that have a meaning for images.
func (s *SendFlags) Register(cmd *cobra.Command) {
	s.RegisterRegistry(cmd)
	s.set.StringVar(&s.compression, "compression-format", "", "compress layers with gzip, zstd or zstd:chunked")
	s.set.BoolVar(&s.forceCompressed, "force-compression", false, "also those that the registry has in another compression")
	s.set.IntVar(&s.level, "compression-level", 0, "how hard to compress, as the format counts: 1 to 9 of gzip, 1 to 20 of zstd")
	s.set.BoolVar(&s.dropSignatures, "remove-signatures", false, "leave signatures behind")
	s.RegisterSigning()
	cli.Complete(cmd, "compression-format", "gzip", "zstd", "zstd:chunked")
}

// RegisterSigning registers the flags that sign what goes to a registry, and tell its digest.
func (s *SendFlags) RegisterSigning() {
	s.set.StringVar(&s.DigestFile, "digestfile", "", "write the digest of the manifest to `FILE`")
	s.set.StringVar(&s.signKey, "sign-by-sigstore-private-key", "", "sign with the sigstore private key in `FILE`")
	s.set.StringVar(&s.passphraseFile, "sign-passphrase-file", "", "`FILE` with the passphrase of the key that signs")
	s.set.StringVar(&s.signBy, "sign-by", "", "sign with this `KEY` of gpg's")
	cli.Refuse(s.set, "sign-by-sigstore", "", "skopeo copy --sign-by-sigstore FILE, or --sign-by-sigstore-private-key FILE")
}

// registerEncryption registers the flags of a push that encrypt layers, and compress those of a
// directory.
func (s *SendFlags) registerEncryption() {
	s.set.StringArrayVar(&s.encryptionKeys, "encryption-key", nil, "encrypt layers for `PROTOCOL:KEYFILE`, as in jwe:/path/public.pem")
	s.set.IntSliceVar(&s.encryptLayers, "encrypt-layer", nil, "only these `LAYERS`, from 0, or from -1 backwards")
	s.set.BoolVar(&s.compress, "compress", false, "compress the layers of a dir: destination")
	RefuseTrust(s.set)
}

// RefuseTrust registers the switch of docker's for its own kind of signatures, of which only off
// fits.
func RefuseTrust(set *pflag.FlagSet) {
	cli.Refuse(set, "disable-content-trust", "true", "signatures are judged when an image is pulled, by containers-policy.json(5)")
	set.Lookup("disable-content-trust").NoOptDefVal = "true"
}

// RegisterRegistry registers the flags that say how a registry is asked.
func (s *SendFlags) RegisterRegistry(cmd *cobra.Command) {
	s.set = cmd.Flags()
	s.set.StringVar(&s.authfile, "authfile", "", "`FILE` with credentials; $REGISTRY_AUTH_FILE is another way to say it")
	s.set.StringVar(&s.certDir, "cert-dir", "", "`DIR` with certificates for the registry")
	s.set.StringVar(&s.creds, "creds", "", "`USER[:PASSWORD]` for the registry")
	s.set.BoolVarP(&s.quiet, "quiet", "q", false, "say nothing of the progress")
	s.set.UintVar(&s.retries, "retry", 3, "tries after the first one")
	s.set.StringVar(&s.backoff, "retry-delay", "", "`TIME` between tries")
	s.set.BoolVar(&s.tlsVerify, "tls-verify", true, "want HTTPS and a valid certificate")
}

// Options turns the flags into the options of package image. It asks for a password that is
// missing.
func (s *SendFlags) Options(e *cli.Env) (registry.SendOptions, error) {
	o := registry.SendOptions{Format: s.Format, Compression: s.compression, ForceCompression: s.forceCompressed, DropSignatures: s.dropSignatures}
	o.AuthFile, o.CertDir = s.authfile, s.certDir
	for _, path := range []string{s.authfile, s.certDir} {
		if path == "" {
			continue
		}
		if _, err := os.Stat(path); err != nil {
			return o, err
		}
	}
	if s.set.Changed("tls-verify") {
		o.TLSVerify = &s.tlsVerify
	}
	if s.set.Changed("retry") {
		n := int(min(s.retries, 1000))
		o.Retries = &n
	}
	if s.set.Changed("compression-level") {
		o.CompressionLevel = &s.level
	}
	o.Compressed, o.EncryptionKeys, o.EncryptLayers = s.compress, s.encryptionKeys, s.encryptLayers
	o.SignBy = s.signBy
	var err error
	if o.SignKey, o.Passphrase, err = s.signing(e); err != nil {
		return o, err
	}
	if s.backoff != "" {
		if o.RetryDelay, err = time.ParseDuration(s.backoff); err != nil || o.RetryDelay < 0 {
			return o, fmt.Errorf("--retry-delay %s: want a duration like 500ms or 5s", s.backoff)
		}
	}
	if !s.quiet {
		o.Progress = e.Stderr
	}
	o.User, o.Secret, err = Credentials(e, s.creds)
	return o, err
}

// signing returns the key to sign with, and its passphrase, for which it asks on a terminal. A key
// may have none.
func (s *SendFlags) signing(e *cli.Env) (key string, passphrase []byte, err error) {
	switch {
	case s.signKey != "" && s.signBy != "":
		return "", nil, errors.New("only one of --sign-by and --sign-by-sigstore-private-key can be given")
	case s.signKey+s.signBy == "" && s.passphraseFile != "":
		return "", nil, errors.New("--sign-passphrase-file is for --sign-by and --sign-by-sigstore-private-key")
	case s.passphraseFile != "":
		passphrase, err = firstLine(s.passphraseFile)
		return s.signKey, passphrase, err
	case s.signKey == "":
		return "", nil, nil // gpg asks itself
	case !cli.IsTerminal(e.Stdin):
		return s.signKey, []byte{}, nil
	}
	passphrase, err = secretOf(e, "Passphrase of "+s.signKey)
	return s.signKey, passphrase, err
}

// maxPassphrase is the most bytes of a passphrase.
const maxPassphrase = 4096

// firstLine reads the first line of a file with a passphrase, which may be a pipe.
func firstLine(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxPassphrase+1))
	first, _, _ := bytes.Cut(text, []byte("\n"))
	if err == nil && len(first) > maxPassphrase {
		return nil, fmt.Errorf("--sign-passphrase-file: the first line of %s has more than %d bytes", path, maxPassphrase)
	}
	return first, err
}
