// SPDX-License-Identifier: Apache-2.0

package strace

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func TestParse(t *testing.T) {
	for line, want := range map[string]call{
		`openat(AT_FDCWD</home/a>, "x, \"y\")", O_RDONLY|O_CLOEXEC) = 3</home/a/x>`:                        {"openat", []string{`AT_FDCWD</home/a>`, `"x, \"y\")"`, "O_RDONLY|O_CLOEXEC"}, "3</home/a/x>"},
		`mkdir("/run/p", 0700)   = -1 EEXIST (File exists)`:                                                {"mkdir", []string{`"/run/p"`, "0700"}, "-1 EEXIST (File exists)"},
		`openat2(6</a, b(c>, "d", {flags=O_RDONLY, resolve=RESOLVE_IN_ROOT}, 24) = 7</a, b(c/d>`:           {"openat2", []string{`6</a, b(c>`, `"d"`, "{flags=O_RDONLY, resolve=RESOLVE_IN_ROOT}", "24"}, "7</a, b(c/d>"},
		`clone3({flags=CLONE_VM, stack_size=0x8} => {parent_tid=[2]}, 88) = 2 /* 30 in strace's PID NS */`: {"clone3", []string{"{flags=CLONE_VM, stack_size=0x8} => {parent_tid=[2]}", "88"}, "2 /* 30 in strace's PID NS */"},
		`fork() = 5`: {"fork", nil, "5"},
		`execve("/bin/p", ["p", "a"], 0x7 /* 14 vars */ <pid changed to 5 ...>`: {"execve", []string{`"/bin/p"`, `["p", "a"]`, "0x7 /* 14 vars */ <pid changed to 5 ...>"}, ""},
	} {
		got, ok := parse(line)
		if !ok || got.name != want.name || !slices.Equal(got.args, want.args) || got.result != want.result {
			t.Errorf("%s:\n%#v, %v\nwant %#v", line, got, ok, want)
		}
	}
	for _, line := range []string{"--- SIGURG {si_signo=SIGURG, si_pid=2} ---", "+++ exited with 0 +++", "+++ superseded by execve in pid 5 +++", `openat(AT_FDCWD</>, "x", O_RDONLY`, ""} {
		if c, ok := parse(line); ok {
			t.Errorf("%s: %#v", line, c)
		}
	}
}

func TestText(t *testing.T) {
	for arg, want := range map[string]string{`"a\"b\\c\nd"`: "a\"b\\c\nd", `"\33[0m\1011"`: "\x1b[0mA1", `"\303\244"`: "ä"} {
		if got, ok := text(arg); !ok || got != want {
			t.Errorf("%s: %q, %v, want %q", arg, got, ok, want)
		}
	}
	for _, arg := range []string{"0x7ffe", "NULL", `"cut off"...`, `"`} {
		if got, ok := text(arg); ok {
			t.Errorf("%s: %q", arg, got)
		}
	}
	for arg, want := range map[string]string{"5</a\\74b\\76>": "/a<b>", "AT_FDCWD</home/a>": "/home/a", "3<socket:[5]>": "", "-1": ""} {
		if got := path(arg); got != want {
			t.Errorf("%s: %q, want %q", arg, got, want)
		}
	}
}

// TestRead: only what our programs ask for is told, in all their threads and children, until they
// have become somebody else's program or have taken another root directory.
func TestRead(t *testing.T) {
	files := fstest.MapFS{}
	for name, text := range map[string]string{
		"a.1": `1.1 openat(AT_FDCWD</>, "/shell", O_RDONLY) = 3</shell>
1.2 clone(child_stack=NULL, flags=CLONE_VM|CLONE_VFORK) = 2
`,
		"a.2": `1.3 execve("/usr/bin/podunit", ["podunit", "ps"], 0x1 /* 1 var */) = 0
1.4 mkdir("/one", 0700) = 0
1.5 clone3({flags=CLONE_VM|CLONE_FS|CLONE_THREAD} => {parent_tid=[3]}, 88) = 1 /* 3 in strace's PID NS */
1.7 execve("/nonexistent", ["runc"], 0x1) = -1 ENOENT (No such file or directory)
1.8 clone(child_stack=NULL, flags=CLONE_VM|CLONE_VFORK) = 4
1.95 chdir("/work") = 0
1.96 rmdir("five") = 0
2.1 chroot("/jail") = 0
2.2 unlink("/gone") = 0
`,
		"a.3": `1.6 renameat(5</dir>, "two", AT_FDCWD</cwd>, "three") = 0
2.3 unlink("/gone too") = 0
`,
		"a.4": `1.81 execve("/proc/self/fd/9", ["/usr/sbin/runc", "create"], 0x1) = 0
1.82 unlink("/runtime's") = 0
1.83 execve("/proc/self/exe", ["podunit", "init"], 0x1) = 0
1.84 unlink("/runtime's, which calls itself ours") = 0
1.85 clone(child_stack=NULL, flags=CLONE_VM) = 5
`,
		"a.5": `1.9 execve("/usr/libexec/podunit/podunit", ["podunit", "cleanup"], 0x1) = 0
2.0 openat(6</dir>, "four", O_WRONLY|O_CREAT|O_EXCL, 0600) = 7</dir/four>
`,
		"README": "no trace",
	} {
		files[name] = &fstest.MapFile{Data: []byte(text)}
	}
	list, err := Read(files, func(program string) bool { return program == "podunit" })
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range list {
		call, _, _ := strings.Cut(a.Call, "(")
		got = append(got, strings.Join(a.Command[1:], " ")+": "+call+" "+a.Base+" "+a.Name)
	}
	want := []string{"ps: mkdir  /one", "ps: renameat /dir two", "ps: renameat /cwd three", "ps: execve  /nonexistent", "ps: execve  /proc/self/fd/9", "ps: chdir  /work", "ps: rmdir /work five", "cleanup: openat /dir four", "ps: chroot  /jail"}
	if !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
}

func TestJudge(t *testing.T) {
	stranger := func(dir string) string {
		if strings.HasPrefix(dir, "/tmp") || dir == "/layer/diff" || strings.HasPrefix(dir, "/layer/diff/") {
			return "bob"
		}
		return ""
	}
	for line, fault := range map[string]string{
		`mkdir("/tmp/x", 0700) = 0`: "x is looked up in /tmp,",
		`openat(AT_FDCWD</root>, "/tmp/x/y", O_RDONLY|O_NOFOLLOW) = -1 ENOENT (No such file)`:                            "x is looked up in /tmp,",
		`openat(AT_FDCWD</root>, "/tmp", O_RDONLY|O_DIRECTORY) = 3</tmp>`:                                                "",
		`openat(3</tmp>, "x", O_RDONLY|O_NOFOLLOW|O_DIRECTORY) = 4</tmp/x>`:                                              "",
		`openat(3</tmp>, "x", O_RDWR|O_CREAT|O_EXCL, 0600) = 4</tmp/x>`:                                                  "",
		`openat(3</tmp>, "x", O_RDONLY) = 4</tmp/x>`:                                                                     "x is looked up in /tmp,",
		`openat(3</tmp>, "x/y", O_RDONLY|O_NOFOLLOW) = 4</tmp/x/y>`:                                                      "x is looked up in /tmp,",
		`openat2(3</layer/diff>, "etc/passwd", {flags=O_PATH, resolve=RESOLVE_IN_ROOT}, 24) = 5</layer/diff/etc/passwd>`: "",
		`openat2(3</layer/diff>, "etc/passwd", {flags=O_PATH, resolve=RESOLVE_NO_XDEV}, 24) = 5</layer/diff/etc/passwd>`: "etc is looked up in /layer/diff,",
		`openat(AT_FDCWD</root>, "/layer/diff", O_RDONLY) = 3</layer/diff>`:                                              "",
		`openat(AT_FDCWD</root>, "/etc/link", O_RDONLY) = 3</tmp/x>`:                                                     "it leads to /tmp/x,",
		`unlinkat(3</tmp>, "x", 0) = 0`:                                                                                  "",
		`fchownat(3</tmp>, "x", 0, 0, 0) = 0`:                                                                            "x is looked up in /tmp,",
		`fchownat(3</tmp>, "x", 0, 0, AT_SYMLINK_NOFOLLOW) = 0`:                                                          "",
		`linkat(3</tmp>, "x", 4</home>, "y", AT_SYMLINK_FOLLOW) = 0`:                                                     "x is looked up in /tmp,",
		`symlinkat("/tmp/to", 4</home>, "y") = 0`:                                                                        "",
		`chmod("x", 0600) = 0`: "relative to what",
		`openat(AT_FDCWD</root>, "/proc/self/fd/7", O_RDONLY) = 8</tmp/x>`:               "",
		`openat(AT_FDCWD</root>, "/proc/12/root/etc/passwd", O_RDONLY) = 8</etc/passwd>`: "it leads through",
		`openat(AT_FDCWD</root>, "/dev/shm/x", O_RDONLY) = -1 ENOENT (No such file)`:     "",
		`execve("/tmp/pasta", ["pasta"], 0x1) = 0`:                                       "pasta is looked up in /tmp,",
	} {
		c, ok := parse(line)
		list := accesses(c, nil, "")
		if !ok || len(list) == 0 {
			t.Errorf("%s: no access", line)
			continue
		}
		got := list[0].Judge(stranger)
		if fault == "" && got != "" || !strings.HasPrefix(got, fault) {
			t.Errorf("%s: %q, want %q", line, got, fault)
		}
	}
}
