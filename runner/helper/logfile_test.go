// SPDX-License-Identifier: Apache-2.0

package helper

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// writeLog has a copier write what comes on two streams, and waits for its end.
func writeLog(t *testing.T, f LogFile, stdout, stderr string) {
	t.Helper()
	copied(t, Log{File: f}, stdout, stderr)
}

func copied(t *testing.T, l Log, stdout, stderr string) {
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
	l.Stdout, l.Stderr = out, errs
	r, err := l.Start()
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

// TestLogFile has the copier write files: the format, a line that is too long for one entry, and
// what becomes of a file that is full.
func TestLogFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "ctr.log")
	write := func(f LogFile, stdout, stderr string) { t.Helper(); writeLog(t, f, stdout, stderr) }
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

// TestLogFileOfAStranger: what somebody has put where the log file is to be neither holds up the
// start nor gets the lines.
func TestLogFileOfAStranger(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ctr.log")
	if err := unix.Mkfifo(path, 0o666); err != nil {
		t.Fatal(err)
	}
	answer := make(chan error, 1)
	go func() {
		_, err := Log{File: LogFile{Path: path}}.Start()
		answer <- err
	}()
	select {
	case err := <-answer:
		if err == nil {
			t.Error("a FIFO is taken")
		}
	case <-time.After(time.Minute):
		t.Fatal("a FIFO holds up the start")
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can make a file of somebody else's")
	}
	path += "2"
	if err := errors.Join(os.WriteFile(path, nil, 0o666), os.Chown(path, 1234, 1234), os.Chmod(filepath.Dir(path), 0o1777)); err != nil {
		t.Fatal(err)
	}
	if _, err := (Log{File: LogFile{Path: path}}).Start(); err == nil || !strings.Contains(err.Error(), "belongs to user 1234") {
		t.Errorf("a stranger's file in a directory of everybody's: %v", err)
	}
}

// logging is a copier that writes a file while the test does something else.
type logging struct {
	*Running
	t   *testing.T
	to  *os.File
	log string
}

func startLogging(t *testing.T, f LogFile) logging {
	t.Helper()
	out, far, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	r, err := Log{Stdout: out, File: f}.Start()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { far.Close() })
	return logging{r, t, far, f.Path}
}

// says has the copier get a line, and waits until file is as is wants it.
func (l logging) says(line, file string, is func(content string) bool) {
	l.t.Helper()
	if _, err := l.to.WriteString(line + "\n"); err != nil {
		l.t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		content, _ := os.ReadFile(file)
		if is(string(content)) {
			return
		}
		if time.Now().After(deadline) {
			entries, _ := filepath.Glob(filepath.Join(filepath.Dir(file), "*"))
			l.t.Fatalf("after %q, %s is %q; there are %q", line, file, content, entries)
		}
	}
}

func has(text string) func(string) bool {
	return func(content string) bool { return strings.Contains(content, text) }
}

// TestLogFileInItsDirectory: who can write above the directory of the file, as a container with a
// volume there, and puts a link in the directory's place, has nothing made or renamed where that
// leads.
func TestLogFileInItsDirectory(t *testing.T) {
	dir := t.TempDir()
	logs, held, victim := filepath.Join(dir, "logs"), filepath.Join(dir, "held"), filepath.Join(dir, "victim")
	if err := errors.Join(os.Mkdir(logs, 0o755), os.Mkdir(victim, 0o755), os.WriteFile(filepath.Join(victim, "ctr.log"), []byte("precious"), 0o644)); err != nil {
		t.Fatal(err)
	}
	l := startLogging(t, LogFile{Path: filepath.Join(logs, "ctr.log"), Size: 60, Files: 2})
	l.says("one", l.log, has(" one\n"))
	if err := errors.Join(os.Rename(logs, held), os.Symlink(victim, logs)); err != nil {
		t.Fatal(err)
	}
	l.says("two", filepath.Join(held, "ctr.log"), has(" two\n"))
	entries, err := os.ReadDir(victim)
	if err != nil || len(entries) != 1 {
		t.Errorf("where the link leads are %v, %v", entries, err)
	}
	if content, err := os.ReadFile(filepath.Join(victim, "ctr.log")); string(content) != "precious" {
		t.Errorf("there is %q, %v", content, err)
	}
}

// TestLogFileOnAFullDisk: where there is no room for a new file, the old ones stay, and where there
// is none for a line, no half of it is written. It goes on when there is room.
func TestLogFileOnAFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a small disk")
	}
	dir := t.TempDir()
	if err := unix.Mount("small", dir, "tmpfs", 0, "nr_inodes=3,size=8k"); err != nil { // itself and two files
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}()
	path, taken := filepath.Join(dir, "ctr.log"), filepath.Join(dir, "taken")
	lines := func(path string) string {
		content, err := os.ReadFile(path)
		if err != nil {
			return err.Error()
		}
		return regexp.MustCompile(`(?m)^\S+ stdout F `).ReplaceAllString(string(content), "")
	}
	if err := os.WriteFile(taken, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	writeLog(t, LogFile{Path: path, Size: 50, Files: 2}, "one\ntwo\n", "")
	if got := lines(path); got != "one\n" {
		t.Errorf("without room for a new file, the old one is %q", got)
	}
	if err := os.Remove(taken); err != nil {
		t.Fatal(err)
	}
	writeLog(t, LogFile{Path: path, Size: 50, Files: 2}, "three\n", "")
	if got := lines(path+".1") + lines(path); got != "one\nthree\n" {
		t.Errorf("with room for it, the two are %q", got)
	}
	if err := os.Remove(path + ".1"); err != nil {
		t.Fatal(err)
	}
	writeLog(t, LogFile{Path: path, Files: 1}, strings.Repeat("y", 10000)+"\nfour\n", "")
	if got := lines(path); got != "three\nfour\n" {
		t.Errorf("with a line between for which there is no room, the file is %.100q", got)
	}
}

// TestElsewhere has the copier write elsewhere than to the journal, byte by byte. What cannot be
// written there goes to the journal, and so to a log file as well.
func TestElsewhere(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	for range 2 { // as at two starts of a unit with append:
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		copied(t, Log{ToStdout: f, ToStderr: full, File: LogFile{Path: filepath.Join(dir, "ctr.log")}}, "one\n\n\xff\x00two\r\n"+strings.Repeat("x", 50000)+"\nno end", "lost\n")
		f.Close()
		full.Close()
	}
	want := "one\n\n\xff\x00two\r\n" + strings.Repeat("x", 50000) + "\nno end"
	if content, err := os.ReadFile(path); err != nil || string(content) != want+want {
		t.Errorf("%d bytes: %.100q, %v", len(content), content, err)
	}
	content, err := os.ReadFile(filepath.Join(dir, "ctr.log"))
	if got := regexp.MustCompile(`(?m)^\S+ `).ReplaceAllString(string(content), ""); err != nil || got != "stderr F lost\nstderr F lost\n" {
		t.Errorf("the log file is %q, %v", got, err)
	}
}
