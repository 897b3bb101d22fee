// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"context"
	"os"
	"path/filepath"
	"testing"
)

func TestStopped(t *testing.T) {
	// It says something where the invocation is the one that was stopped.
	command := filepath.Join(t.TempDir(), "journalctl")
	script := "#!/bin/sh\ncase \"$*\" in *' MESSAGE_ID=9d1aaa27d60140bd96365438aad20286 JOB_TYPE=stop USER_INVOCATION_ID=a1 + '*' INVOCATION_ID=a1') echo Stopped web.;; esac\n"
	if err := os.WriteFile(command, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	for invocation, want := range map[string]bool{"a1": true, "b2": false, "": false} {
		if got := (Reader{Command: command}).Stopped(context.Background(), invocation); got != want {
			t.Errorf("%q: %v", invocation, got)
		}
	}
	if (Reader{Command: "/nowhere/journalctl"}).Stopped(context.Background(), "a1") {
		t.Error("without a journal somebody asked")
	}
}
