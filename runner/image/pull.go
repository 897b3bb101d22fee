// SPDX-License-Identifier: Apache-2.0

package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/podunit/podunit/runner/image/download"
	"github.com/podunit/podunit/runner/store"
	"github.com/podunit/podunit/runner/terminal"
	"go.podman.io/common/libimage/platform"
	"go.podman.io/common/pkg/config"
)

// Progress is how far a pull has come.
type Progress = download.Progress

// Part is how far a part of it has come.
type Part = download.Part

// Policy says when to pull. Its zero value is PullAlways.
type Policy = config.PullPolicy

// The policies. Source: podman-run(1), --pull.
const (
	PullAlways  = config.PullPolicyAlways  // pull, and fail if that fails
	PullMissing = config.PullPolicyMissing // pull what is not in the storage
	PullNever   = config.PullPolicyNever   // fail if it is not in the storage
	PullNewer   = config.PullPolicyNewer   // pull if the registry has another; what is there will do if that fails
)

// DefaultStall is how long a registry may send nothing, or less than a KiB a second, unless
// StallEnv says otherwise: a duration like 90s or 5m, 0 for no limit.
const (
	DefaultStall = 60 * time.Second
	StallEnv     = "PODUNIT_PULL_STALL_TIMEOUT"
)

// PullOptions says how to pull. The zero value pulls for this machine, with the
// ecosystem's configuration.
type PullOptions struct {
	Policy            Policy
	OS, Arch, Variant string // "" is this machine's

	AuthFile     string // containers-auth.json(5); "" is $REGISTRY_AUTH_FILE, then the usual places
	User, Secret string // credentials that win over files
	CertDir      string // containers-certs.d(5)
	TLSVerify    *bool  // nil is what registries.conf says
	// DecryptionKeys are private keys for encrypted layers, KEY[:PASSPHRASE] as in podman-pull(1).
	DecryptionKeys []string

	Retries    *int          // after the first try; nil is containers.conf's retry, 3
	RetryDelay time.Duration // 0 is containers.conf's retry_delay, else 1 s, 2 s, 4 s ...

	// Online, if there is one, returns when the machine is on the network, or will not be soon.
	// It is called before a registry is.
	Online func(context.Context) error

	Stall    time.Duration  // give up after this long with less than a KiB a second; 0 is $PODUNIT_PULL_STALL_TIMEOUT or DefaultStall, negative is never
	Interval time.Duration  // between two reports; 0 is a second
	Report   func(Progress) // may be nil; called from one goroutine at a time
	Log      func(string)   // for a line to the user now and then; may be nil
}

// Logf writes a line to the user.
func (o PullOptions) Logf(format string, a ...any) {
	if o.Log != nil {
		o.Log(terminal.Text(fmt.Sprintf(format, a...)))
	}
}

// Platform is what was asked for: os/architecture[/variant].
func (o PullOptions) Platform() string { return platform.ToString(o.OS, o.Arch, o.Variant) }

// Pull gets the image of a name by policy: from the storage, from a registry, or by
// another transport (oci:, oci-archive:, docker-archive:, dir:, containers-storage:).
// The error is an *Error, or ErrUnknown when the policy is PullNever. When ctx ends,
// Pull returns within two seconds, whatever it waits for; what it was writing then may go
// on until the process ends, so the process should.
func (im *Images) Pull(ctx context.Context, name string, o PullOptions) (*Image, error) {
	var image *Image
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		image, err = im.pull(ctx, name, o)
	}()
	select {
	case <-done:
		return image, err
	case <-ctx.Done():
	}
	select {
	case <-done:
		return image, err
	case <-time.After(endAfter):
		// A FIFO that nobody writes, a file system that does not answer.
		return nil, &Error{Name: name, Err: fmt.Errorf("the pull was interrupted: %w", context.Cause(ctx))}
	}
}

// SetStall fills in how long a registry may be silent, if nobody has said it.
func (o *PullOptions) SetStall() (err error) {
	if o.Stall == 0 {
		o.Stall, err = stallLimit(os.Getenv(StallEnv))
	}
	return err
}

// endAfter is longer than a pull from a registry takes to end with less left behind.
const endAfter = 2 * time.Second

func (im *Images) pull(ctx context.Context, name string, o PullOptions) (*Image, error) {
	if o.Interval == 0 {
		o.Interval = time.Second
	}
	if err := o.SetStall(); err != nil {
		return nil, err
	}
	o.OS, o.Arch, o.Variant = platform.Normalize(o.OS, o.Arch, o.Variant)
	name, image, err := im.ecosystem.Transport(ctx, name, o)
	if image != nil || err != nil {
		return image, err
	}
	local, err := im.Lookup(ctx, name)
	var damaged *CorruptError
	switch {
	case errors.As(err, &damaged) && o.Policy != PullNever:
		// it is pulled anew
	case err != nil && !errors.Is(err, ErrUnknown):
		return nil, err
	case err != nil && o.Policy == PullNever:
		return nil, &Error{Name: name, Err: ErrUnknown, Way: "the pull policy is never: podunit pull " + name}
	}
	if local != nil && !o.Suits(local) {
		if o.Policy == PullNever {
			return nil, &Error{Name: name, Err: fmt.Errorf("the image in the storage is for %s, not for %s", local.Platform(), o.Platform())}
		}
		local = nil
	}
	if local != nil && (o.Policy == PullNever || o.Policy == PullMissing) {
		download.Tidy(im.store, im.runDir)
		return local, nil
	}
	if isID(name, local) {
		if local == nil {
			return nil, &Error{Name: name, Err: ErrUnknown, Way: "an ID names an image in the storage; a pull needs its name"}
		}
		if o.Policy == PullAlways {
			return nil, &Error{Name: name, Err: errors.New("an ID cannot be pulled"), Way: "the pull policy is always; use the image's name, or --pull=missing"}
		}
		return local, nil
	}
	return im.ecosystem.PullNamed(ctx, name, local, damaged, o)
}

func stallLimit(text string) (time.Duration, error) {
	if text == "" {
		return DefaultStall, nil
	}
	if text == "0" {
		return -1, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("%s=%s: want a duration like 90s or 5m, or 0 for no limit", StallEnv, text)
	}
	return d, nil
}

// Suits reports whether an image is for the platform asked for. Where nothing was asked
// for, every image suits: many say nothing true about their platform.
func (o PullOptions) Suits(image *Image) bool {
	c := image.Config
	return (o.OS == "" || o.OS == c.OS) && (o.Arch == "" || o.Arch == c.Architecture) && (o.Variant == "" || o.Variant == c.Variant)
}

// isID reports whether name is an ID rather than a name.
func isID(name string, local *Image) bool {
	id := strings.TrimPrefix(name, "sha256:")
	return store.IsID(id) || id != name || local != nil && local.Name == "" && strings.HasPrefix(local.ID, id)
}

// Platform is the one that the image is for: os/architecture[/variant].
func (i *Image) Platform() string {
	c := i.Config
	return platform.ToString(orElse(c.OS, runtime.GOOS), orElse(c.Architecture, "?"), c.Variant)
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
