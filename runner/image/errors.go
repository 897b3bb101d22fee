// SPDX-License-Identifier: Apache-2.0

package image

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/docker/distribution/registry/api/errcode"
	errcodev2 "github.com/docker/distribution/registry/api/v2"
	"go.podman.io/image/v5/docker"
	"go.podman.io/image/v5/signature"
	"golang.org/x/sys/unix"
)

// Error is a failure that concerns one image, with a way out where there is one.
type Error struct {
	Name string // the image, as the user wrote it
	Err  error
	hint string
}

func (e *Error) Error() string { return e.Name + ": " + e.Err.Error() }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Hint is the way out, or "" where the cause says it all.
func (e *Error) Hint() string { return e.hint }

// CorruptError is an image in the storage that lacks a piece. A pull replaces it.
type CorruptError struct {
	ID  string
	Err error
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("image %s is damaged: %v", short(e.ID), e.Err)
}

// Unwrap gives the cause.
func (e *CorruptError) Unwrap() error { return e.Err }

// Hint is the way out.
func (e *CorruptError) Hint() string {
	return fmt.Sprintf("pull it again, or remove it: podunit rmi -f %s", short(e.ID))
}

// StallError is a registry that sent nothing for as long as Limit.
type StallError struct {
	Host  string // as in the image's name: with the port, if there is one
	Limit time.Duration
}

func (e *StallError) Error() string {
	return fmt.Sprintf("registry %s: no byte received for %s", e.Host, e.Limit)
}

// PlatformError is a manifest list without an image for the platform asked for.
type PlatformError struct {
	Want string   // os/architecture[/variant]
	Have []string // likewise, as the list has them
}

func (e *PlatformError) Error() string {
	return fmt.Sprintf("no image for %s; there is %s", e.Want, strings.Join(e.Have, ", "))
}

// FullError is a disk that is full, or a quota that is used up.
type FullError struct {
	Dir string // on that disk
}

func (e *FullError) Error() string { return "no space left on the disk of " + e.Dir }

// isFull reports whether a disk was full. The one that unpacks is another process, and
// of its errors only the text comes back.
func isFull(err error) bool {
	text := err.Error()
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) ||
		strings.Contains(text, unix.ENOSPC.Error()) || strings.Contains(text, unix.EDQUOT.Error())
}

// explain puts what went wrong with a pull from host into one line, and a way out
// beside it. The libraries' messages repeat the reference at every level; what is kept
// here is the innermost one that says something.
func explain(name, host string, err error) error {
	if e := new(Error); errors.As(err, &e) || err == nil {
		return err
	}
	e := &Error{Name: name, Err: err}
	var (
		stall        *StallError
		platform     *PlatformError
		unauthorized docker.ErrUnauthorizedForCredentials
		status       docker.UnexpectedHTTPStatusError
		coder        errcode.ErrorCoder
		dns          *net.DNSError
		op           *net.OpError
		authority    x509.UnknownAuthorityError
		hostname     x509.HostnameError
		invalid      x509.CertificateInvalidError
		record       tls.RecordHeaderError
		policy       signature.PolicyRequirementError
		full         *FullError
	)
	text := err.Error()
	var code errcode.ErrorCode // the zero value is none
	if errors.As(err, &coder) {
		code = coder.ErrorCode()
	}
	errors.As(err, &status)
	switch {
	case errors.As(err, &stall):
		e.Err = stall
		e.hint = fmt.Sprintf("is %s up, and the network to it? a proxy in between? podunit pull %s shows what comes", host, name)
	case errors.Is(err, context.Canceled):
		e.Err = errors.New("the pull was interrupted")
	case errors.As(err, &full):
		e.Err = full
		e.hint = "nothing of the pull was kept; podunit image prune -a removes images that no container uses, TMPDIR names another place for downloads"
	case errors.Is(err, unix.EROFS):
		e.hint = "the file system is read-only; graphroot in storage.conf and TMPDIR name other places"
	case errors.As(err, &platform):
		e.Err = platform
		e.hint = "--platform chooses one of them"
	case errors.As(err, &policy):
		e.Err = fmt.Errorf("signature policy: %w", policy)
		e.hint = "see containers-policy.json(5): /etc/containers/policy.json, ~/.config/containers/policy.json"
	case errors.As(err, &unauthorized), code == errcode.ErrorCodeUnauthorized, code == errcode.ErrorCodeDenied, status.StatusCode == http.StatusUnauthorized, status.StatusCode == http.StatusForbidden:
		e.Err = fmt.Errorf("registry %s denies access: %w", host, innermost(err))
		e.hint = fmt.Sprintf("is the name right? if it is: podman login %s, skopeo login %s, or --authfile, --creds", host, host)
	case code == errcodev2.ErrorCodeManifestUnknown, code == errcodev2.ErrorCodeNameUnknown, status.StatusCode == http.StatusNotFound:
		e.Err = fmt.Errorf("registry %s does not have it: %w", host, innermost(err))
		e.hint = "check repository and tag; without a tag it is latest"
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &record), strings.Contains(text, "server gave HTTP response to HTTPS client"):
		e.Err = fmt.Errorf("registry %s speaks plain HTTP, not HTTPS", host)
		e.hint = fmt.Sprintf("if that is meant: --tls-verify=false, or in /etc/containers/registries.conf.d/local.conf [[registry]] location = %q insecure = true", host)
	case errors.As(err, &authority), errors.As(err, &hostname), errors.As(err, &invalid):
		e.Err = fmt.Errorf("registry %s: %w", host, innermost(err))
		e.hint = fmt.Sprintf("put its certificate authority into /etc/containers/certs.d/%s/ca.crt, or --cert-dir", host)
	case errors.Is(err, unix.ECONNREFUSED):
		e.Err = fmt.Errorf("registry %s is unreachable: connection refused", host)
		e.hint = "is the registry running, and is the port right?"
	case errors.As(err, &dns):
		e.Err = fmt.Errorf("registry %s is unreachable: %w", host, dns)
		e.hint = "is the name of the registry right, and is the network up?"
	case errors.As(err, &op):
		e.Err = fmt.Errorf("registry %s is unreachable: %w", host, op)
		e.hint = "is the network up? a unit can wait for it: After=network-online.target"
	case strings.Contains(text, "policy.json"):
		e.hint = "without a signature policy nothing may be pulled; Debian: apt install golang-github-containers-common"
	}
	return e
}

// innermost is the last error of the chain that has words of its own.
func innermost(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil || next.Error() == "" {
			return err
		}
		err = next
	}
}
