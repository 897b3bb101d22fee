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

func TestEnded(t *testing.T) {
	// It answers with the last message about the unit, if it is asked for those of the manager of
	// user 1000.
	command := filepath.Join(t.TempDir(), "journalctl")
	script := `#!/bin/sh
case "$*" in
*' --reverse --lines=1 '*' _UID=1000 USER_UNIT=up.service + '*' _UID=1000 UNIT=up.service') id=39f53479d3a045ac8e11786248231fbf;;
*' USER_UNIT=stopped.service '*) id=9d1aaa27d60140bd96365438aad20286;;
*) exit 0;;
esac
printf '__CURSOR=s\nMESSAGE_ID=%s\nJOB_TYPE=start\n\n' $id
`
	if err := os.WriteFile(command, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	for unit, want := range map[string]bool{"up.service": true, "stopped.service": false, "unknown.service": false} {
		if got := (Reader{Command: command}).Ended(context.Background(), 1000, unit); got != want {
			t.Errorf("%s: %v", unit, got)
		}
	}
	if (Reader{Command: "/nowhere/journalctl"}).Ended(context.Background(), 1000, "up.service") {
		t.Error("without a journal it has ended by itself")
	}
}
