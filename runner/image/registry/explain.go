// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/docker/distribution/registry/api/errcode"
	errcodev2 "github.com/docker/distribution/registry/api/v2"
	"github.com/podunit/podunit/runner/image"
	"go.podman.io/image/v5/docker"
	"go.podman.io/image/v5/signature"
	"golang.org/x/sys/unix"
)

// explain puts what went wrong with a pull from host into one line, and a way out
// beside it. The libraries' messages repeat the reference at every level; what is kept
// here is the innermost one that says something.
func explain(name, host string, err error) error {
	if e := new(image.Error); errors.As(err, &e) || err == nil {
		return err
	}
	e := &image.Error{Name: name, Err: err}
	var (
		stall        *image.StallError
		platform     *image.PlatformError
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
		full         *image.FullError
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
		e.Way = fmt.Sprintf("is %s up, and the network to it? a proxy in between? podunit pull %s shows what comes", host, name)
	case errors.Is(err, context.Canceled):
		e.Err = errors.New("the pull was interrupted")
	case errors.As(err, &full):
		e.Err = full
		e.Way = "nothing of the pull was kept; podunit image prune -a removes images that no container uses, TMPDIR names another place for downloads"
	case errors.Is(err, unix.EROFS):
		e.Way = "the file system is read-only; graphroot in storage.conf and TMPDIR name other places"
	case errors.As(err, &platform):
		e.Err = platform
		e.Way = "--platform chooses one of them"
		if len(platform.Have) == 0 {
			e.Way = "whoever pushes it must put images into the list"
		}
	case errors.As(err, &policy):
		e.Err = fmt.Errorf("signature policy: %w", policy)
		e.Way = "see containers-policy.json(5): /etc/containers/policy.json, ~/.config/containers/policy.json"
	case errors.As(err, &unauthorized), code == errcode.ErrorCodeUnauthorized, code == errcode.ErrorCodeDenied, status.StatusCode == http.StatusUnauthorized, status.StatusCode == http.StatusForbidden:
		e.Err = fmt.Errorf("registry %s denies access: %w", host, innermost(err))
		e.Way = fmt.Sprintf("is the name right? if it is: podman login %s, skopeo login %s, or --authfile, --creds", host, host)
	case code == errcodev2.ErrorCodeManifestUnknown, code == errcodev2.ErrorCodeNameUnknown, status.StatusCode == http.StatusNotFound:
		e.Err = fmt.Errorf("registry %s does not have it: %w", host, innermost(err))
		e.Way = "check repository and tag; without a tag it is latest"
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &record), strings.Contains(text, "server gave HTTP response to HTTPS client"):
		e.Err = fmt.Errorf("registry %s speaks plain HTTP, not HTTPS", host)
		e.Way = fmt.Sprintf("if that is meant: --tls-verify=false, or in /etc/containers/registries.conf.d/local.conf [[registry]] location = %q insecure = true", host)
	case errors.As(err, &authority), errors.As(err, &hostname), errors.As(err, &invalid):
		e.Err = fmt.Errorf("registry %s: %w", host, innermost(err))
		e.Way = fmt.Sprintf("put its certificate authority into /etc/containers/certs.d/%s/ca.crt, or --cert-dir", host)
	case errors.Is(err, unix.ECONNREFUSED):
		e.Err = fmt.Errorf("registry %s is unreachable: connection refused", host)
		e.Way = "is the registry running, and is the port right?"
	case errors.As(err, &dns):
		e.Err = fmt.Errorf("registry %s is unreachable: %w", host, dns)
		e.Way = "is the name of the registry right, and is the network up?"
	case errors.As(err, &op):
		e.Err = fmt.Errorf("registry %s is unreachable: %w", host, op)
		e.Way = "is the network up? a unit can wait for it: After=network-online.target"
	case strings.Contains(text, "invalid policy in"):
		e.Way = "mend the file: containers-policy.json(5)"
	case strings.Contains(text, "policy.json"):
		e.Way = "without a signature policy nothing may be pulled; Debian: apt install golang-github-containers-common"
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

// isFull reports whether a disk was full. The one that unpacks is another process, and
// of its errors only the text comes back.
func isFull(err error) bool {
	text := err.Error()
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) ||
		strings.Contains(text, unix.ENOSPC.Error()) || strings.Contains(text, unix.EDQUOT.Error())
}
