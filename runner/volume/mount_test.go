// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestGivenUp: mount(8) and its helper, which waits for a server, end together when the start is
// given up, and the error names the server.
func TestGivenUp(t *testing.T) {
	bin := t.TempDir()
	child := filepath.Join(bin, "child")
	const silence = "volume far: mount: nas:/srv has not answered"
	script := "#!/bin/sh\nsleep 600 &\necho $! >" + child + ".new && mv " + child + ".new " + child + "\nwait\n"
	if err := os.WriteFile(filepath.Join(bin, "mount"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	waits := What{Type: "nfs", Device: "nas:/srv"}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- waits.mount(ctx, "far", "/nowhere") }()
	var pid int
	for deadline := time.Now().Add(time.Minute); pid == 0; time.Sleep(10 * time.Millisecond) {
		text, _ := os.ReadFile(child) // it is there once the helper runs
		pid, _ = strconv.Atoi(strings.TrimSpace(string(text)))
		if time.Now().After(deadline) {
			t.Fatal("the helper does not run")
		}
	}
	t.Cleanup(func() { _ = unix.Kill(pid, unix.SIGKILL) }) // it is gone, if all is well
	cancel()
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), silence) {
			t.Errorf("%v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("it goes on after the start was given up")
	}
	for deadline := time.Now().Add(time.Minute); !errors.Is(unix.Kill(pid, 0), unix.ESRCH); time.Sleep(10 * time.Millisecond) {
		if state, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat"); strings.Contains(string(state), ") Z ") {
			break // nobody may reap it here
		}
		if time.Now().After(deadline) {
			t.Fatal("the helper goes on")
		}
	}
	// The manager's signal is for all of the unit, and mount(8) may hear it first.
	if err := os.WriteFile(filepath.Join(bin, "mount"), []byte("#!/bin/sh\nkill -TERM $$\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := waits.mount(t.Context(), "far", "/nowhere"); err == nil || !strings.Contains(err.Error(), silence+": signal: terminated") {
		t.Errorf("%v", err)
	}
}

// TestPasswordOfAMount: the list of processes, which everybody may read, does not show it.
func TestPasswordOfAMount(t *testing.T) {
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "mount"), []byte("#!/bin/sh\necho \"$PASSWD: $*\"\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	t.Setenv("PASSWD", "")
	for kind, want := range map[string]string{
		"cifs": "hid=den: -t cifs -o username=me,ro -- //nas/all /nowhere",
		"nfs":  ": -t nfs -o username=me,password=hid=den,ro -- //nas/all /nowhere",
	} {
		err := What{Type: kind, Device: "//nas/all", Data: []string{"username=me", "password=hid=den", "ro"}}.mount(t.Context(), "far", "/nowhere")
		if err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	err := What{Type: "smb3", Device: "//nas/all", Data: []string{"password2=hidden"}}.mount(t.Context(), "far", "/nowhere")
	if err == nil || !strings.Contains(err.Error(), "password2= would stand") || strings.Contains(err.Error(), "hidden") {
		t.Errorf("a second password: %v", err)
	}
}
