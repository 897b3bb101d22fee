// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
)

const (
	// buildTime is what building the server may take the first time, on a machine that has other
	// work.
	buildTime = 2 * time.Hour
	// startTime is what it may take until the server is ready.
	startTime = 5 * time.Minute
)

// built is the program of package server, out of the lab's cache. The first time it is built, which
// takes a quarter of an hour on two cores.
func built(t *testing.T) string {
	t.Helper()
	h := sha256.New()
	io.WriteString(h, runtime.Version()+runtime.GOARCH)
	for _, name := range []string{"go.mod", "go.sum", "server/main.go"} {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		h.Write(data)
	}
	dir := os.Getenv("PODUNIT_LAB_CACHE")
	if dir == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			t.Fatal(err)
		}
		dir = filepath.Join(base, "podunit-lab")
	}
	// The directories of the cache are named KIND-KEY.
	dir = filepath.Join(dir, "kubernetes-"+hex.EncodeToString(h.Sum(nil)[:6]))
	program := filepath.Join(dir, "server")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	lock, err := os.OpenFile(dir, os.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(program); err == nil {
		return program
	}
	t.Log("building kube-apiserver (cached afterwards)")
	ctx, cancel := context.WithTimeout(context.Background(), buildTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program+".part", "./server")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the server: %v\n%s", err, out)
	}
	if err := os.Rename(program+".part", program); err != nil {
		t.Fatal(err)
	}
	others, err := filepath.Glob(filepath.Join(filepath.Dir(dir), "kubernetes-*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, other := range others {
		if other != dir {
			if err := os.RemoveAll(other); err != nil {
				t.Error(err)
			}
		}
	}
	return program
}

// start runs the server until the test ends, and says how to reach it.
func start(t *testing.T) *rest.Config {
	t.Helper()
	program, dir := built(t), t.TempDir()
	token := rand.Text()
	if err := os.WriteFile(filepath.Join(dir, "tokens"), []byte(token+",admin,admin,system:masters\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, dir)
	var log bytes.Buffer
	cmd.Stderr = &log
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	t.Cleanup(func() {
		// It ends with its standard input. Leaving in order takes it a minute, and nothing of it is
		// kept.
		in.Close()
		_ = cmd.Process.Kill()
		<-ended
		if t.Failed() {
			t.Logf("the server's last words:\n%s", tail(log.String(), 20))
		}
	})
	address, err := bufio.NewReader(out).ReadString('\n')
	go func() { ended <- cmd.Wait() }()
	if err != nil {
		t.Fatalf("the server says no address: %v", err)
	}
	c := &rest.Config{
		Host: strings.TrimSpace(address), BearerToken: token, QPS: -1,
		TLSClientConfig: rest.TLSClientConfig{CAFile: filepath.Join(dir, "apiserver.crt")},
	}
	if err := ready(c, time.Now().Add(startTime)); err != nil {
		t.Fatal(err)
	}
	return c
}

// ready waits until the server says that it is.
func ready(c *rest.Config, end time.Time) error {
	for {
		client, err := discovery.NewDiscoveryClientForConfig(c)
		if err == nil {
			_, err = client.RESTClient().Get().AbsPath("/readyz").DoRaw(context.Background())
		}
		if err == nil {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("the server is not ready: %w", err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// tail is the last n lines of a text.
func tail(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
