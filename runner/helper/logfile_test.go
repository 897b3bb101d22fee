// SPDX-License-Identifier: Apache-2.0

package helper

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestLogFile has the copier write files: the format, a line that is too long for one entry, and what becomes of a file
// that is full.
func TestLogFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "ctr.log")
	write := func(f LogFile, stdout, stderr string) {
		t.Helper()
		out, outFar, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		errs, errsFar, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		defer errs.Close()
		r, err := Log{Stdout: out, Stderr: errs, File: f}.Start()
		if err != nil {
			t.Fatal(err)
		}
		for f, text := range map[*os.File]string{outFar: stdout, errsFar: stderr} {
			if _, err := f.WriteString(text); err != nil {
				t.Fatal(err)
			}
			f.Close()
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
			if _, err := os.Stat(fmt.Sprintf("/proc/%d/fd/0", r.PID)); err != nil {
				return // it has ended
			}
			if time.Now().After(deadline) {
				t.Fatal("the copier does not end")
			}
		}
	}
	long := strings.Repeat("x", 1<<20+10)
	before := time.Now().Add(-time.Millisecond)
	write(LogFile{Path: path, Files: 1}, "one\n"+long+"\ntwo", "trouble\n")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for line := range strings.Lines(string(data)) {
		m := regexp.MustCompile(`^(\S+) (stdout|stderr) ([PF]) (.*)\n$`).FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("a line is %.80q", line)
		}
		if at, err := time.Parse(time.RFC3339Nano, m[1]); err != nil || at.Before(before) || at.After(time.Now()) {
			t.Errorf("the time %s: %v", m[1], err)
		}
		got[fmt.Sprintf("%s %s %d", m[2], m[3], len(m[4]))]++
	}
	want := map[string]int{"stdout F 3": 2, "stderr F 7": 1, "stdout P 1048576": 1, "stdout F 10": 1}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}

	// Ten lines of 53 bytes: four fit into a file.
	var ten strings.Builder
	for i := range 10 {
		fmt.Fprintf(&ten, "line %d\n", i)
	}
	for files, want := range map[int]string{1: "89", 2: "89|4567", 9: "89|4567|0123"} {
		for _, old := range []string{"", ".1", ".2", ".3"} {
			os.Remove(path + old)
		}
		write(LogFile{Path: path, Size: 220, Files: files}, ten.String(), "")
		var parts []string
		for _, name := range []string{"", ".1", ".2", ".3"} {
			data, err := os.ReadFile(path + name)
			if err != nil {
				continue
			}
			parts = append(parts, strings.Join(regexp.MustCompile(`\d\n`).FindAllString(string(data), -1), ""))
		}
		if got := strings.ReplaceAll(strings.Join(parts, "|"), "\n", ""); got != want {
			t.Errorf("%d files hold %s, want %s", files, got, want)
		}
	}
	if err := os.Symlink(path, path+".link"); err != nil {
		t.Fatal(err)
	}
	if _, err := (Log{File: LogFile{Path: path + ".link"}}).Start(); err == nil {
		t.Error("a link is followed")
	}
	if _, err := (Log{File: LogFile{Path: "/dev/null"}}).Start(); err == nil {
		t.Error("a device is taken")
	}
}
