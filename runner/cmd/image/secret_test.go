// SPDX-License-Identifier: Apache-2.0

package image

import (
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/runc"
	"golang.org/x/sys/unix"
)

// TestSecretInterrupted: Ctrl-C at a question for a secret ends it, and the terminal shows again
// what is typed.
func TestSecretInterrupted(t *testing.T) {
	if _, err := os.Stat("/dev/ptmx"); err != nil {
		t.Skip("no /dev/ptmx")
	}
	near, far, err := runc.OpenTerminal()
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	defer far.Close()
	shown := func() bool {
		state, err := unix.IoctlGetTermios(int(far.Fd()), unix.TCGETS)
		if err != nil {
			t.Fatal(err)
		}
		return state.Lflag&unix.ECHO != 0
	}
	heard := make(chan os.Signal, 1) // as in Main: the signal does not end the process
	signal.Notify(heard, unix.SIGINT)
	defer signal.Stop(heard)
	ended := make(chan error, 1)
	go func() {
		_, err := secretOf(&cli.Env{Stdin: far, Stderr: io.Discard}, "Password")
		ended <- err
	}()
	late := time.After(time.Minute)
	for shown() {
		select {
		case <-late:
			t.Fatal("nobody asks")
		case <-time.After(time.Millisecond):
		}
	}
	if err := unix.Kill(os.Getpid(), unix.SIGINT); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err == nil || !shown() {
			t.Errorf("%v, and what is typed is shown: %v", err, shown())
		}
	case <-late:
		t.Fatal("it still asks")
	}
}

// TestPassphraseFile: its first line is the passphrase, and a file that has none that could be one
// is refused.
func TestPassphraseFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pass")
	long := strings.Repeat("x", maxPassphrase)
	for text, want := range map[string]string{"": "", "secret": "secret", "secret\n" + long: "secret", long + "\n": long, long + "x": "-"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, got, err := (&SendFlags{signBy: "key", passphraseFile: path}).signing(&cli.Env{})
		if want == "-" != (err != nil) || err == nil && string(got) != want {
			t.Errorf("%d bytes: %q, %v", len(text), got, err)
		}
	}
	if _, _, err := (&SendFlags{signBy: "key", passphraseFile: "/dev/zero"}).signing(&cli.Env{}); err == nil {
		t.Error("of a file without an end")
	}
}
