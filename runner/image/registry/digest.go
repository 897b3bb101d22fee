// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
	"go.podman.io/image/v5/docker/reference"
	"go.podman.io/image/v5/manifest"
	"go.podman.io/image/v5/pkg/docker/config"
	"go.podman.io/image/v5/pkg/sysregistriesv2"
	"go.podman.io/image/v5/pkg/tlsclientconfig"
	"go.podman.io/image/v5/types"
	"go.podman.io/storage/pkg/configfile"
	"go.podman.io/storage/pkg/unshare"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"
)

// digests asks registries which digests names have now. The library that pulls opens a connection
// and asks GET /v2/ for each name anew; many names of one registry are asked here over the same
// connections, and what the first answer tells (HTTPS or not, how to log in) serves all. It is no
// more than a short way: what it cannot tell is asked again by the library, which has the errors,
// the retries and the mirrors.
type digests struct {
	patience time.Duration // how long questions wait for the answer to the first one; 0 is firstAnswer

	mu    sync.Mutex
	hosts map[visit]*host
}

// visit is what must be the same for two questions to share connections and logins.
type visit struct {
	host, certDir string
	insecure      bool
	login         types.DockerAuthConfig
}

// host is one registry as one login sees it.
type host struct {
	visit
	client   auth.Client
	ear      *ear
	patience time.Duration

	mu      sync.Mutex
	asked   bool          // somebody asks the first question
	settled chan struct{} // closed when its answer is there, or will not be
	scheme  string        // of the answers; empty if there was none
}

const (
	// firstAnswer is how long questions wait for the answer to the first one.
	firstAnswer = 2 * time.Second
	// idleConns is how many connections to a registry stay open between questions.
	idleConns = 32
	// maxDelay is the longest time that a registry may have us wait, as in the library that pulls.
	maxDelay = time.Minute
)

// errUnsettled is of a registry whose first question has no answer.
var errUnsettled = errors.New("its first question has no answer yet")

// ask asks the registry of a name that is sent nowhere else. Any error only means that the answer
// is not here.
func (d *digests) ask(ctx context.Context, sys *types.SystemContext, named reference.Named) (digest.Digest, error) {
	h, err := d.host(sys, named)
	if err != nil {
		return "", err
	}
	tag := "latest"
	switch r := reference.TagNameOnly(named).(type) {
	case reference.Digested:
		tag = r.Digest().String()
	case reference.Tagged:
		tag = r.Tag()
	}
	ctx = auth.AppendScopesForHost(ctx, h.host, auth.ScopeRepository(reference.Path(named), auth.ActionPull))
	path := fmt.Sprintf("%s/v2/%s/manifests/%s", h.host, reference.Path(named), tag)
	scheme, mine, err := h.first(ctx)
	if err != nil {
		return "", err
	}
	if mine {
		return h.settle(ctx, path)
	}
	return h.head(ctx, scheme+"://"+path)
}

// host finds the registry of a name.
func (d *digests) host(sys *types.SystemContext, named reference.Named) (*host, error) {
	v := visit{host: reference.Domain(named)}
	var err error
	if v.certDir, err = certDir(sys, v.host); err != nil {
		return nil, err
	}
	conf, err := sysregistriesv2.FindRegistry(sys, named.Name())
	if err != nil {
		return nil, err
	}
	v.insecure = conf != nil && conf.Insecure
	if skip := sys.DockerInsecureSkipTLSVerify; skip != types.OptionalBoolUndefined {
		v.insecure = skip == types.OptionalBoolTrue
	}
	if v.login, err = config.GetCredentialsForRef(sys, named); err != nil {
		return nil, err
	}
	if v.host == "docker.io" {
		v.host = "registry-1.docker.io"
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	h, ok := d.hosts[v]
	if !ok {
		if h, err = newHost(v); err != nil {
			return nil, err
		}
		if d.hosts == nil {
			d.hosts = make(map[visit]*host)
		}
		h.patience = cmp.Or(d.patience, firstAnswer)
		d.hosts[v] = h
	}
	return h, nil
}

func newHost(v visit) (*host, error) {
	transport := tlsclientconfig.NewTransport()
	transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: v.insecure} //nolint:gosec // where the user says so
	transport.ForceAttemptHTTP2, transport.MaxIdleConnsPerHost = true, idleConns
	if v.certDir != "" {
		if err := tlsclientconfig.SetupCertificates(v.certDir, transport.TLSClientConfig); err != nil {
			return nil, err
		}
	}
	h := &host{visit: v, ear: &ear{RoundTripper: transport, host: v.host}, settled: make(chan struct{})}
	h.client = auth.Client{
		Client: &http.Client{Transport: h.ear}, Cache: auth.NewCache(), ClientID: "podunit",
		Header:     http.Header{"User-Agent": {"podunit"}},
		Credential: auth.StaticCredential(v.host, auth.Credential{Username: v.login.Username, Password: v.login.Password, RefreshToken: v.login.IdentityToken}),
	}
	return h, nil
}

// ear hears who asks for a login. Only the registry itself may: the library would send its login to
// wherever the answer says, also if that is the answer of another server, to which the registry has
// sent us on.
type ear struct {
	http.RoundTripper
	host  string
	heard atomic.Bool // the registry speaks HTTPS: from now on nothing is believed that comes without
}

// RoundTrip takes the question for a login from answers that may not ask it.
func (e *ear) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := e.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	mine, safe := r.URL.Host == e.host, r.URL.Scheme == "https"
	if mine && safe {
		e.heard.Store(true)
	}
	if !mine || !safe && e.heard.Load() {
		answer.Header.Del("Www-Authenticate")
	}
	return answer, nil
}

// certDir is the directory with certificates for a registry, empty if there is none. Source:
// containers-certs.d(5).
func certDir(sys *types.SystemContext, host string) (string, error) {
	if sys.DockerCertPath != "" {
		return sys.DockerCertPath, nil
	}
	paths, err := configfile.GetSearchPaths(&configfile.File{Name: "certs", Extension: "d", DoNotUseExtensionForConfigName: true, UserId: unshare.GetRootlessUID()})
	if err != nil {
		return "", err
	}
	for _, dir := range append(paths.DropInDirectories, "/etc/docker/certs.d") {
		if path := filepath.Join(dir, host); isDir(path) {
			return path, nil
		}
	}
	return "", nil
}

func isDir(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir()
}

// first tells the scheme of the registry, or that it is this question's task to find it.
func (h *host) first(ctx context.Context) (scheme string, mine bool, err error) {
	h.mu.Lock()
	mine = !h.asked
	h.asked = true
	h.mu.Unlock()
	if mine {
		return "", true, nil
	}
	select {
	case <-h.settled:
	case <-ctx.Done():
		return "", false, ctx.Err()
	case <-time.After(h.patience):
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.scheme == "" {
		return "", false, errUnsettled
	}
	return h.scheme, false, nil
}

// settle asks the first question. A registry that has answered once with HTTPS is not asked
// without, whatever comes then: the login that its answer has asked for would go in the clear.
func (h *host) settle(ctx context.Context, path string) (digest.Digest, error) {
	defer close(h.settled)
	scheme := "https"
	d, err := h.head(ctx, scheme+"://"+path)
	refused := (*statusError)(nil)
	if err != nil && !errors.As(err, &refused) && h.insecure && !h.ear.heard.Load() && ctx.Err() == nil {
		scheme = "http"
		d, err = h.head(ctx, scheme+"://"+path)
	}
	if err == nil || errors.As(err, &refused) {
		h.mu.Lock()
		h.scheme = scheme
		h.mu.Unlock()
	}
	return d, err
}

// statusError is of an answer that has no digest.
type statusError struct {
	status int
	after  time.Duration // that the registry wants us to wait
}

func (e *statusError) Error() string { return fmt.Sprintf("status %d", e.status) }

// head asks one question.
func (h *host) head(ctx context.Context, url string) (digest.Digest, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, url, nil)
	if err != nil {
		return "", err
	}
	request.Header["Accept"] = manifest.DefaultRequestedManifestMIMETypes
	answer, err := h.client.Do(request)
	denied := (*errcode.ErrorResponse)(nil)
	switch {
	case errors.Is(err, auth.ErrBasicCredentialNotFound):
		return "", &statusError{status: http.StatusUnauthorized}
	case errors.As(err, &denied): // by whom the registry has sent us to for a token
		return "", &statusError{status: denied.StatusCode}
	case err != nil:
		return "", err
	}
	defer answer.Body.Close()
	d, err := digest.Parse(answer.Header.Get("Docker-Content-Digest"))
	if answer.StatusCode != http.StatusOK || err != nil {
		return "", &statusError{answer.StatusCode, retryAfter(answer)}
	}
	return d, nil
}

// retryAfter is how long a registry that is asked too often wants us to wait.
func retryAfter(answer *http.Response) time.Duration {
	if answer.StatusCode != http.StatusTooManyRequests {
		return 0
	}
	text := answer.Header.Get("Retry-After")
	var wait time.Duration
	if seconds, err := strconv.Atoi(text); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		wait = time.Until(at)
	}
	if wait <= 0 { // it says nothing that can be read, or a time that has passed by our clock
		wait = firstAnswer
	}
	return min(wait, maxDelay)
}
