// SPDX-License-Identifier: Apache-2.0

package runc

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestUntold: what the runtime could not even tell what to do is tried again; anything else is not,
// since the command may have been executed. What fails for good comes with the words of both.
func TestUntold(t *testing.T) {
	const untold = "exec failed: unable to start container process: waiting for init preliminary setup: read init-p: connection reset by peer"
	says := func(words ...string) string {
		var b strings.Builder
		for _, w := range words {
			b.WriteString(`echo '{"level":"error","msg":"` + w + `"}' >>"$LOG"; `)
		}
		return b.String()
	}
	for name, c := range map[string]struct {
		script string // n is the number of the try
		code   int
		tries  string
		want   string // of the error
	}{
		"once":           {`[ $n = 1 ] || exit 7; ` + says(untold) + "exit 255", 7, "2", ""},
		"twice":          {`[ $n = 3 ] || { ` + says(untold) + "exit 255; }; exit 0", 0, "3", ""},
		"always":         {says("nsexec[7]: no memory", untold) + "exit 255", 0, "3", untold + " (nsexec[7]: no memory): exit status 255"},
		"another reason": {says("exec failed: unable to start container process: error executing setns process: exit status 1") + "exit 255", 0, "1", "setns"},
		"the command's":  {"exit 255", 255, "1", ""},
	} {
		for verb, exec := range map[string]func(Runtime, Execution) (int, error){
			"attached": func(r Runtime, x Execution) (int, error) { return r.Exec(context.Background(), x) },
			"within":   func(r Runtime, x Execution) (int, error) { return r.ExecWithin(context.Background(), x, func() {}) },
			"detached": func(r Runtime, x Execution) (int, error) { return c.code, r.ExecDetached(context.Background(), x) },
			"a container": func(r Runtime, x Execution) (int, error) {
				return r.Foreground(context.Background(), "x", t.TempDir(), Config{}, Streams{}, nil)
			},
		} {
			if verb == "detached" && c.code != 0 {
				continue // there the status is the runtime's own
			}
			t.Run(name+" "+verb, func(t *testing.T) {
				dir := t.TempDir()
				count := filepath.Join(dir, "count")
				r := fake(t, `n=$(($(cat `+count+`) + 1)); echo $n >`+count+"; "+c.script)
				x := Execution{ID: "x"}
				for _, f := range []struct {
					to         **os.File
					name, text string
				}{{&x.Process, "process", "{}"}, {&x.Log, "log", ""}, {&x.Streams.Stderr, "said", ""}, {new(*os.File), "count", "0"}} {
					path := filepath.Join(dir, f.name)
					err := os.WriteFile(path, []byte(f.text), 0o600)
					if err == nil {
						*f.to, err = os.OpenFile(path, os.O_RDWR, 0)
					}
					if err != nil {
						t.Fatal(err)
					}
					defer (*f.to).Close()
				}
				code, err := exec(r, x)
				if code != c.code || (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
					t.Errorf("%d, %v; want %d, %q", code, err, c.code, c.want)
				}
				if tries, err := os.ReadFile(count); err != nil || strings.TrimSpace(string(tries)) != c.tries {
					t.Errorf("tried %s times, want %s; %v", tries, c.tries, err)
				}
				said, err := os.ReadFile(filepath.Join(dir, "said"))
				if n := strings.Count(string(said), "nothing was executed"); verb == "attached" && fmt.Sprint(n+1) != c.tries || err != nil {
					t.Errorf("said of %d tries: %s; %v", n, said, err)
				}
			})
		}
	}
}
