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
	"github.com/podunit/podunit/runner/safe"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// sendFlags are the flags of verbs by which images leave the storage.
type sendFlags struct {
	set                                      *pflag.FlagSet
	quiet, tlsVerify                         bool
	authfile, creds, certDir, backoff        string
	format, compression, digestFile          string
	retries                                  uint
	dropSignatures, uncompressed, compressed bool
	compress                                 bool
	level                                    int
	signKey, passphraseFile                  string
	encryptionKeys                           []string
	encryptLayers                            []int
}

func (s *sendFlags) register(cmd *cobra.Command) {
	s.registerRegistry(cmd)
	s.set.StringVar(&s.compression, "compression-format", "", "compress layers with gzip, zstd or zstd:chunked")
	s.set.BoolVar(&s.compressed, "force-compression", false, "also those that the registry has in another compression")
	s.set.IntVar(&s.level, "compression-level", 0, "how hard to compress, as the format counts: 1 to 9 of gzip, 1 to 20 of zstd")
	s.set.BoolVar(&s.dropSignatures, "remove-signatures", false, "leave signatures behind")
	s.registerSigning()
	cli.Complete(cmd, "compression-format", "gzip", "zstd", "zstd:chunked")
}

// registerSigning registers the flags that sign what goes to a registry, and tell its digest.
func (s *sendFlags) registerSigning() {
	s.set.StringVar(&s.digestFile, "digestfile", "", "write the digest of the manifest to `FILE`")
	s.set.StringVar(&s.signKey, "sign-by-sigstore-private-key", "", "sign with the sigstore private key in `FILE`")
	s.set.StringVar(&s.passphraseFile, "sign-passphrase-file", "", "`FILE` with the passphrase of that key")
	cli.Refuse(s.set, "sign-by", "", "podunit has no GPG in it: skopeo copy --sign-by KEY, or --sign-by-sigstore-private-key FILE")
	cli.Refuse(s.set, "sign-by-sigstore", "", "skopeo copy --sign-by-sigstore FILE, or --sign-by-sigstore-private-key FILE")
}

// registerEncryption registers the flags of a push that encrypt layers, and compress those of a directory.
func (s *sendFlags) registerEncryption() {
	s.set.StringArrayVar(&s.encryptionKeys, "encryption-key", nil, "encrypt layers for `PROTOCOL:KEYFILE`, as in jwe:/path/public.pem")
	s.set.IntSliceVar(&s.encryptLayers, "encrypt-layer", nil, "only these `LAYERS`, from 0, or from -1 backwards")
	s.set.BoolVar(&s.compress, "compress", false, "compress the layers of a dir: destination")
	cli.Refuse(s.set, "disable-content-trust", "true", "signatures are judged when an image is pulled, by containers-policy.json(5)")
	s.set.Lookup("disable-content-trust").NoOptDefVal = "true"
}

// registerRegistry registers the flags that say how a registry is asked.
func (s *sendFlags) registerRegistry(cmd *cobra.Command) {
	s.set = cmd.Flags()
	s.set.StringVar(&s.authfile, "authfile", "", "`FILE` with credentials; $REGISTRY_AUTH_FILE is another way to say it")
	s.set.StringVar(&s.certDir, "cert-dir", "", "`DIR` with certificates for the registry")
	s.set.StringVar(&s.creds, "creds", "", "`USER[:PASSWORD]` for the registry")
	s.set.BoolVarP(&s.quiet, "quiet", "q", false, "say nothing of the progress")
	s.set.UintVar(&s.retries, "retry", 3, "tries after the first one")
	s.set.StringVar(&s.backoff, "retry-delay", "", "`TIME` between tries")
	s.set.BoolVar(&s.tlsVerify, "tls-verify", true, "want HTTPS and a valid certificate")
}

// options makes of the flags what the storage takes. It asks for a password that is missing.
func (s *sendFlags) options(e *cli.Env) (registry.SendOptions, error) {
	o := registry.SendOptions{Format: s.format, Compression: s.compression, ForceCompression: s.compressed, DropSignatures: s.dropSignatures, Uncompressed: s.uncompressed}
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
	o.User, o.Secret, err = credentials(e, s.creds)
	return o, err
}

// signing is the key to sign with, and its passphrase, which it asks for on a terminal. A key may have none.
func (s *sendFlags) signing(e *cli.Env) (key string, passphrase []byte, err error) {
	switch {
	case s.signKey == "" && s.passphraseFile != "":
		return "", nil, errors.New("--sign-passphrase-file is for --sign-by-sigstore-private-key")
	case s.signKey == "":
		return "", nil, nil
	case s.passphraseFile != "":
		text, err := os.ReadFile(s.passphraseFile)
		first, _, _ := bytes.Cut(text, []byte("\n"))
		return s.signKey, first, err
	case !cli.IsTerminal(e.Stdin):
		return s.signKey, []byte{}, nil
	}
	passphrase, err = secretOf(e, "Passphrase of "+s.signKey)
	return s.signKey, passphrase, err
}

// NewPush makes podunit push.
func NewPush(e *cli.Env) *cobra.Command {
	var flags sendFlags
	cmd := &cobra.Command{
		Use:   "push [flags] IMAGE [DESTINATION]",
		Short: "Copy an image to a registry",
		Long: `Copy an image to a registry: where its name says, or to DESTINATION, which may have another
transport: docker://NAME, oci:DIR[:REFERENCE], oci-archive:FILE, docker-archive:FILE, dir:DIR.`,
		Example:           "  podunit push registry.example/team/app:1\n  podunit push app registry.example/team/app:1",
		Args:              cli.WantArgs(1, 2),
		ValidArgsFunction: cli.CompleteImages(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := flags.options(e)
			if err != nil {
				return err
			}
			im, err := open(cmd.Context(), e)
			if err != nil {
				return err
			}
			to := ""
			if len(args) > 1 {
				to = args[1]
			}
			d, err := im.Push(cmd.Context(), args[0], to, o)
			if err != nil || flags.digestFile == "" {
				return err
			}
			return safe.Replace(flags.digestFile, []byte(d.String()), 0o644)
		},
	}
	flags.register(cmd)
	flags.registerEncryption()
	cmd.Flags().StringVarP(&flags.format, "format", "f", "", "`FORMAT` of the manifest: oci, v2s2 or v2s1")
	cli.Complete(cmd, "format", "oci", "v2s2", "v2s1")
	return cmd
}

// progress is where the progress of a copy is said, unless quiet.
func progress(e *cli.Env, quiet bool) io.Writer {
	if quiet {
		return nil
	}
	return e.Stderr
}
