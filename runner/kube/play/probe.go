// SPDX-License-Identifier: Apache-2.0

package play

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/podunit/podunit/runner/cgroup"
	runner "github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/netns"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/process"
	"github.com/podunit/podunit/runner/safe"
	"github.com/podunit/podunit/runner/secret"
	"github.com/podunit/podunit/runner/service"
	"github.com/podunit/podunit/runner/spec"
	"golang.org/x/sys/unix"
)

// The probes that go on as long as a container runs.
const (
	liveness  = "liveness"
	readiness = "readiness"
)

// verdict is the result of a probe so far.
type verdict struct {
	ID        string // of the container; another one begins anew
	Good, Bad int    // results in a row
	Ready     bool   `json:",omitempty"`
	Why       string `json:",omitempty"` // the last result is bad
}

func (s store) verdictPath(play string, words []string) string {
	return filepath.Join(s.dir(play), "probes", strings.Join(words, "@"))
}

func (s store) setVerdict(play string, v verdict, words ...string) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	path := s.verdictPath(play, words)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return safe.Replace(path, data, 0o600)
}

func (s store) verdict(play string, words ...string) (v verdict) {
	data, err := os.ReadFile(s.verdictPath(play, words))
	if err == nil {
		_ = json.Unmarshal(data, &v) // nothing was found then
	}
	return v
}

// forgetVerdict removes such a note, if there is one.
func (s store) forgetVerdict(play string, words ...string) error {
	err := os.Remove(s.verdictPath(play, words))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// setGrace notes the time that a container has for its next stop, which a probe has asked for.
func (s store) setGrace(play string, d time.Duration, words ...string) error {
	return s.setVerdict(play, verdict{Good: int(d / time.Second)}, append(words, "grace")...)
}

// graceOf gives that time, once.
func (s store) graceOf(play string, words ...string) (time.Duration, bool) {
	words = append(words, "grace")
	v := s.verdict(play, words...)
	return time.Duration(v.Good) * time.Second, os.Remove(s.verdictPath(play, words)) == nil
}

// watched is what the timer of a probe needs to know of a container. It is noted when the container
// has begun, so that a probe, which comes every few seconds, opens no storage and reads no plan.
type watched struct {
	ID, Name string        // of the container
	Secrets  []spec.Secret `json:",omitempty"`
	Hidden   []string      `json:",omitempty"` // as in the container's record
	// SecretDir is the store of the secrets, Runtime the path or name of the OCI runtime.
	SecretDir, Runtime string `json:",omitempty"`
	Pod                string // the ID of the container's pod
	PodName            string
	Unit               string // the service that has the container
	Probe              *kube.Probe
	Grace              time.Duration // the container's time to stop
	// Never says that the container is not started again.
	Never bool `json:",omitempty"`
}

func (w *watched) record() runner.Record {
	return runner.Record{ID: w.ID, Name: w.Name, Runtime: w.Runtime, Hidden: w.Hidden, Spec: spec.Container{Secrets: w.Secrets}}
}

func (s store) watchedPath(play string, words []string) string {
	return s.verdictPath(play, words) + ".watched"
}

func (s store) setWatched(play string, w watched, words ...string) error {
	data, err := json.Marshal(w)
	if err != nil {
		return err
	}
	return safe.Replace(s.watchedPath(play, words), data, 0o600)
}

// ErrNotNoted says that nothing is noted of a probe, as an older program has started its timer: see
// Player.NoteProbe.
var ErrNotNoted = fmt.Errorf("nothing is noted of its probe: %w", runner.ErrNotRunning)

// watched reads what is noted; runner.ErrNotRunning if it is not of the container id, ErrNotNoted
// if there is no note.
func (s store) watched(play, id string, words ...string) (*watched, error) {
	path := s.watchedPath(play, words)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotNoted
	}
	if err != nil {
		return nil, err
	}
	w := &watched{}
	if err := json.Unmarshal(data, w); err != nil || w.Probe == nil {
		return nil, fmt.Errorf("%s: the probe cannot be read: %w", path, errors.Join(err, fs.ErrInvalid))
	}
	if w.ID != id {
		return nil, runner.ErrNotRunning
	}
	return w, nil
}

// note notes what the timer of a probe of a container needs to know.
func (p *Player) note(play string, r pod.Record, c *kube.Container, made runner.Record, probe *kube.Probe, kind string) error {
	return p.store.setWatched(play, watched{
		ID: made.ID, Name: made.Name, Secrets: made.Spec.Secrets, Hidden: made.Hidden, SecretDir: p.Containers.Secrets.Store.Dir(),
		Runtime: made.Runtime, Pod: r.ID, PodName: r.Name, Unit: c.Unit, Probe: probe, Grace: c.Grace, Never: c.Restart.Policy == "no",
	}, r.Name, c.Name, kind)
}

// NoteProbe notes that of a container whose timers an older program has started, which noted
// nothing: they go on with the present program. The error is runner.ErrNotRunning when there is
// nothing to probe any more.
func (p *Player) NoteProbe(play, podName, name, kind, id string) error {
	_, _, c, err := p.find(play, podName, name)
	if errors.Is(err, ErrNotFound) {
		return runner.ErrNotRunning
	}
	if err != nil {
		return err
	}
	probe := c.Liveness
	if kind == readiness {
		probe = c.Readiness
	}
	made, err := p.Containers.LookupExact(c.Spec.Name)
	if errors.Is(err, runner.ErrNotFound) || err == nil && made.ID != id || probe == nil {
		return runner.ErrNotRunning
	}
	if err != nil {
		return err
	}
	r, err := p.Pods.LookupExact(podName)
	if err != nil {
		return err
	}
	return p.note(play, r, c, made, probe, kind)
}

// A Prober is what the timers of probes execute.
type Prober struct{ player *Player }

// NewProber makes one of an engine that need not have a storage: see service.OpenToProbe.
func NewProber(e *service.Engine) *Prober {
	return &Prober{&Player{Engine: e, store: store{run: runDir(e), warn: e.Warn}}}
}

// Probe is one look of a probe at a container, and what follows from it. The error is
// runner.ErrNotRunning when there is nothing to probe any more, and ErrNotNoted, which is one of
// those, when there may be.
func (o *Prober) Probe(ctx context.Context, play, podName, name, kind, id string) error {
	p := o.player
	w, err := p.store.watched(play, id, podName, name, kind)
	if err != nil {
		return err
	}
	p.Containers.Secrets.Store = secret.At(w.SecretDir)
	s, err := p.Containers.Status(id)
	switch {
	case err != nil:
		return err
	case s.PID == 0:
		return runner.ErrNotRunning
	case cgroup.Frozen(s.Cgroup):
		return nil // somebody has paused it, and it can answer nothing
	}
	found := p.probe(ctx, pod.Record{ID: w.Pod, Name: w.PodName}, w.record(), w.Probe, kind)
	if ctx.Err() != nil {
		return nil //nolint:nilerr // the unit stops, and that is no finding
	}
	s, err = p.Containers.Status(id)
	if err != nil || s.PID == 0 {
		return errors.Join(err, runner.ErrNotRunning)
	}
	was := p.store.verdict(play, podName, name, kind)
	v, failed := was.after(found, w.Probe, id, kind)
	if v != was {
		if err := p.store.setVerdict(play, v, podName, name, kind); err != nil {
			return err
		}
	}
	switch {
	case kind == readiness && was.Ready && !v.Ready:
		p.Warn(fmt.Sprintf("container %s is not ready any more: %v", w.Name, found))
	case kind == liveness && failed:
		p.Warn(fmt.Sprintf("container %s: livenessProbe failed %d times: %v", w.Name, v.Bad, found))
		return p.unhealthy(ctx, play, name, w, s)
	}
	return nil
}

// after is the verdict after one more look, and whether it failed as often as is too often. What
// succeeds again and again is the same verdict.
func (v verdict) after(found error, probe *kube.Probe, id, kind string) (next verdict, failed bool) {
	enough := max(probe.Success, 1)
	if found == nil {
		v.Good, v.Bad = min(v.Good+1, enough), 0
	} else {
		v.Good, v.Bad = 0, v.Bad+1
	}
	v.ID = id
	failed = v.Bad >= max(probe.Failure, 1)
	if kind == readiness {
		v.Ready = v.Good >= enough || v.Ready && !failed
	}
	return v, failed
}

// unhealthy ends a container whose liveness probe has failed. It starts again whatever its exit
// status, unless its restart policy is Never.
func (p *Player) unhealthy(ctx context.Context, play, name string, w *watched, s runner.Status) error {
	grace := w.Grace
	if w.Probe.Grace != nil {
		grace = *w.Probe.Grace
		if err := p.store.setGrace(play, grace, w.PodName, name); err != nil {
			return err
		}
	}
	if !w.Never {
		return p.AskUnit(ctx, "restart", w.Unit)
	}
	return process.End(s.PID, s.StartTicks, unix.SIGTERM, grace)
}

// EndTimer ends the timer whose service this process is.
func (o *Prober) EndTimer(ctx context.Context) error {
	return o.player.AskUnit(ctx, "stop", strings.TrimSuffix(o.player.Own.Name, ".service")+".timer")
}

// dial connects from the network of the pod. Without a host it connects to the pod itself: to its
// address, and if nobody listens there, to the loopback, where podman looks.
func (p *Player) dial(ctx context.Context, r pod.Record, host string, port uint16) (net.Conn, error) {
	s := p.Pods.Status(r)
	if s.InfraPID == 0 {
		return nil, fmt.Errorf("pod %s is not running", r.Name)
	}
	var addresses []string
	if host == "" {
		addresses = append(addresses, s.IPs...)
		addresses = append(addresses, "127.0.0.1", "::1")
	} else {
		found, err := net.DefaultResolver.LookupHost(ctx, host)
		if err != nil {
			return nil, err
		}
		addresses = found
	}
	ns, err := netns.OpenOf(s.InfraPID, s.StartTicks)
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	var first error
	for _, ip := range addresses {
		var conn net.Conn
		err := netns.Do(ns, func() (err error) {
			// By number, so that the connection is made by this thread.
			conn, err = (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(ip, strconv.Itoa(int(port))))
			return err
		})
		if err == nil {
			return conn, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

const (
	// maxBody is how much of an answer is read, in bytes; maxRedirects how far one is followed.
	// Source: the kubelet's prober.
	maxBody      = 10 << 10
	maxRedirects = 10
)

// get asks a server of the pod. A status from 200 to 399 is good; a hook takes any answer.
func (p *Player) get(ctx context.Context, r pod.Record, h *kube.HTTP, hook bool) error {
	transport := &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // as Kubernetes does
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return p.dial(ctx, r, h.Host, h.Port) },
	}
	defer transport.CloseIdleConnections()
	host := h.Host
	if host == "" {
		host = "localhost"
		if ips := p.Pods.Status(r).IPs; len(ips) > 0 {
			host = ips[0]
		}
	}
	target := &url.URL{Scheme: strings.ToLower(h.Scheme), Host: net.JoinHostPort(host, strconv.Itoa(int(h.Port)))}
	if target.Scheme == "" {
		target.Scheme = "http"
	}
	path, err := target.Parse(h.Path)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, path.String(), nil)
	if err != nil {
		return err
	}
	request.Header.Set("User-Agent", "kube-probe/podunit")
	request.Header.Set("Accept", "*/*")
	for _, header := range h.Headers {
		if strings.EqualFold(header.Name, "Host") {
			request.Host = header.Value
			continue
		}
		request.Header.Set(header.Name, header.Value)
	}
	client := http.Client{Transport: transport, CheckRedirect: func(next *http.Request, before []*http.Request) error {
		if next.URL.Host != before[0].URL.Host {
			return http.ErrUseLastResponse // somebody else's: that it points there is good
		}
		if len(before) >= maxRedirects {
			return errors.New("it is sent on and on")
		}
		return nil
	}}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(answer.Body, maxBody)); err != nil {
		return err
	}
	if !hook && (answer.StatusCode < 200 || answer.StatusCode >= 400) {
		return fmt.Errorf("%s answers %s", path.Path, answer.Status)
	}
	return nil
}

// ask asks grpc.health.v1.Health/Check, as one frame of one message, of one text or one number each.
func (p *Player) ask(ctx context.Context, r pod.Record, g *kube.GRPC) error {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{
		Protocols:   protocols,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return p.dial(ctx, r, "", g.Port) },
	}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("http://localhost:%d/grpc.health.v1.Health/Check", g.Port), bytes.NewReader(healthRequest(g.Service)))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/grpc")
	request.Header.Set("TE", "trailers")
	request.Header.Set("User-Agent", "kube-probe/podunit")
	answer, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxBody))
	if err != nil {
		return err
	}
	status := answer.Trailer.Get("Grpc-Status")
	if status == "" {
		status = answer.Header.Get("Grpc-Status")
	}
	if answer.StatusCode != http.StatusOK || status != "0" {
		return fmt.Errorf("grpc.health.v1: %s, grpc-status %s %s", answer.Status, status, answer.Trailer.Get("Grpc-Message"))
	}
	if !serving(body) {
		return errors.New("grpc.health.v1: the service does not say SERVING")
	}
	return nil
}

// healthRequest is a HealthCheckRequest in its frame. Source: grpc.health.v1, Protocol Buffers.
func healthRequest(service string) []byte {
	var message []byte
	if service != "" {
		message = append([]byte{1<<3 | 2}, binary.AppendUvarint(nil, uint64(len(service)))...)
		message = append(message, service...)
	}
	frame := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message)))
	return append(frame, message...)
}

// serving reads a HealthCheckResponse in its frame: its first field is the number 1.
func serving(frame []byte) bool {
	return len(frame) >= 7 && frame[0] == 0 && frame[5] == 1<<3 && frame[6] == 1
}
