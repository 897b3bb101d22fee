// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.podman.io/image/v5/types"
)

// anApp is what these tests ask for.
const anApp = "/v2/app/manifests/1"

// asHost is a registry with a login, of which registries.conf says that it is insecure.
func asHost(t *testing.T, address string) *host {
	t.Helper()
	h, err := newHost(visit{host: address, insecure: true, login: types.DockerAuthConfig{Username: "me", Password: "secret"}})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// TestSettleStaysWithHTTPS: a registry that asks with HTTPS for a login and then is gone does not
// get it in the clear.
func TestSettleStaysWithHTTPS(t *testing.T) {
	certified := httptest.NewTLSServer(nil)
	defer certified.Close()
	for _, answers := range []int{1, 0} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		var clear atomic.Int32
		go func() {
			for n := 0; ; n++ {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				in := bufio.NewReader(conn)
				// A TLS connection begins with a record of its own, 22.
				switch first, err := in.Peek(1); {
				case err == nil && first[0] != 22:
					clear.Add(1)
				case err == nil && n < answers:
					inside := tls.Server(peeked{conn, in}, certified.TLS.Clone())
					if _, err := http.ReadRequest(bufio.NewReader(inside)); err == nil {
						fmt.Fprint(inside, "HTTP/1.1 401 Unauthorized\r\nWww-Authenticate: Basic realm=\"x\"\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
					}
					inside.Close()
				}
				conn.Close()
			}
		}()
		h := asHost(t, l.Addr().String())
		_, err = h.settle(t.Context(), h.host+anApp)
		if err == nil || (clear.Load() == 0) != (answers > 0) {
			t.Errorf("after %d answers with HTTPS, %d questions without; %v", answers, clear.Load(), err)
		}
	}
}

// peeked is a connection of which something has been read already.
type peeked struct {
	net.Conn
	in io.Reader
}

func (p peeked) Read(b []byte) (int, error) { return p.in.Read(b) }

// TestOnlyTheRegistryAsksForALogin: a server to which the registry sends us on cannot name a place
// for our login. The registry can, and has the token sent to another server.
func TestOnlyTheRegistryAsksForALogin(t *testing.T) {
	for _, asks := range []string{"the registry", "another"} {
		var logins atomic.Int32
		realm := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, _, ok := r.BasicAuth(); ok {
				logins.Add(1)
			}
			fmt.Fprint(w, `{"token":"t"}`)
		}))
		defer realm.Close()
		challenge := func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Www-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="x"`, realm.URL))
			w.WriteHeader(http.StatusUnauthorized)
		}
		other := httptest.NewTLSServer(http.HandlerFunc(challenge))
		defer other.Close()
		own := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case asks == "another":
				http.Redirect(w, r, other.URL+r.URL.Path, http.StatusTemporaryRedirect)
			case r.Header.Get("Authorization") != "Bearer t":
				challenge(w, r)
			}
		}))
		defer own.Close()
		h := asHost(t, strings.TrimPrefix(own.URL, "https://"))
		want, status, wantLogins := (*statusError)(nil), http.StatusUnauthorized, int32(0)
		if asks == "the registry" {
			status, wantLogins = http.StatusOK, 1 // without a digest
		}
		_, err := h.settle(t.Context(), h.host+anApp)
		if !errors.As(err, &want) || want.status != status || logins.Load() != wantLogins || h.scheme != "https" {
			t.Errorf("%s asks: %d logins, scheme %q, %v", asks, logins.Load(), h.scheme, err)
		}
	}
}

// TestNothingIsBelievedInTheClear: once a registry has answered with HTTPS, an answer without
// cannot ask for a login.
func TestNothingIsBelievedInTheClear(t *testing.T) {
	e := &ear{host: "r.example:5000", RoundTripper: answers(http.StatusUnauthorized)}
	for i, c := range []struct {
		url   string
		asked bool
	}{
		{"http://r.example:5000/", true},
		{"http://r.example/", false},
		{"https://other.example:5000/", false},
		{"http://r.example:5000/", true},
		{"https://r.example:5000/", true},
		{"http://r.example:5000/", false},
	} {
		r := httptest.NewRequest(http.MethodHead, c.url, nil)
		answer, err := e.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		if asked := answer.Header.Get("Www-Authenticate") != ""; asked != c.asked {
			t.Errorf("%d, %s: asked %t", i, c.url, asked)
		}
	}
}

// answers asks for a login with this status.
type answers int

func (a answers) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: int(a), Header: http.Header{"Www-Authenticate": {"Basic"}}, Body: http.NoBody}, nil
}

// TestRetryAfter: what cannot be read, and a time that has passed, is a wait all the same: else the
// registry would be asked at once what it has just refused.
func TestRetryAfter(t *testing.T) {
	for after, want := range map[string]time.Duration{
		"": firstAnswer, "soon": firstAnswer, "0": firstAnswer, "-5": firstAnswer, "7": 7 * time.Second, "86400": maxDelay,
		time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat): firstAnswer,
		time.Now().Add(time.Hour).UTC().Format(http.TimeFormat):  maxDelay,
	} {
		answer := &http.Response{StatusCode: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {after}}}
		if got := retryAfter(answer); got != want {
			t.Errorf("%q: %s, want %s", after, got, want)
		}
		answer.StatusCode = http.StatusOK
		if got := retryAfter(answer); got != 0 {
			t.Errorf("%q, of an answer: %s", after, got)
		}
	}
}
