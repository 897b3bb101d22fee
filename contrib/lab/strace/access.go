// SPDX-License-Identifier: Apache-2.0

package strace

import (
	"cmp"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// An Access is one name that a program gave to the kernel, to open, make, change or remove what it
// stands for.
type Access struct {
	Command  []string // of the program
	Call     string   // with its arguments, as strace shows it
	Base     string   // the directory that Name is relative to, if it is
	Below    bool     // Base is a descriptor or the working directory, not a path
	Name     string
	Follows  bool   // a link that Name is would be followed
	Confined bool   // the kernel keeps the whole way below Base: openat2(2)
	Real     string // what was opened in the end, if it was
}

// A place is where a call has a name: the index of the descriptor that it is relative to, or -1, and
// of the name.
type place struct{ dir, name int }

// The calls that are judged: where their names are, and whether they follow a link that the name is.
// Calls that only ask are none of them; nor are those of sockets, whose names lie in a structure.
var judged = map[string]struct {
	places  []place
	follows func(args []string) bool
}{
	"open":              {[]place{{-1, 0}}, opens(1)},
	"openat":            {[]place{{0, 1}}, opens(2)},
	"openat2":           {[]place{{0, 1}}, opens(2)},
	"creat":             {[]place{{-1, 0}}, always},
	"mkdir":             {[]place{{-1, 0}}, never},
	"mkdirat":           {[]place{{0, 1}}, never},
	"rmdir":             {[]place{{-1, 0}}, never},
	"unlink":            {[]place{{-1, 0}}, never},
	"unlinkat":          {[]place{{0, 1}}, never},
	"rename":            {[]place{{-1, 0}, {-1, 1}}, never},
	"renameat":          {[]place{{0, 1}, {2, 3}}, never},
	"renameat2":         {[]place{{0, 1}, {2, 3}}, never},
	"link":              {[]place{{-1, 0}, {-1, 1}}, never},
	"linkat":            {[]place{{0, 1}, {2, 3}}, flag("AT_SYMLINK_FOLLOW", true)},
	"symlink":           {[]place{{-1, 1}}, never},
	"symlinkat":         {[]place{{1, 2}}, never},
	"mknod":             {[]place{{-1, 0}}, never},
	"mknodat":           {[]place{{0, 1}}, never},
	"chown":             {[]place{{-1, 0}}, always},
	"lchown":            {[]place{{-1, 0}}, never},
	"fchownat":          {[]place{{0, 1}}, flag("AT_SYMLINK_NOFOLLOW", false)},
	"chmod":             {[]place{{-1, 0}}, always},
	"fchmodat":          {[]place{{0, 1}}, always},
	"fchmodat2":         {[]place{{0, 1}}, flag("AT_SYMLINK_NOFOLLOW", false)},
	"utimensat":         {[]place{{0, 1}}, flag("AT_SYMLINK_NOFOLLOW", false)},
	"truncate":          {[]place{{-1, 0}}, always},
	"setxattr":          {[]place{{-1, 0}}, always},
	"lsetxattr":         {[]place{{-1, 0}}, never},
	"removexattr":       {[]place{{-1, 0}}, always},
	"lremovexattr":      {[]place{{-1, 0}}, never},
	"mount":             {[]place{{-1, 1}}, always},
	"umount2":           {[]place{{-1, 0}}, flag("UMOUNT_NOFOLLOW", false)},
	"open_tree":         {[]place{{0, 1}}, flag("AT_SYMLINK_NOFOLLOW", false)},
	"move_mount":        {[]place{{0, 1}, {2, 3}}, always},
	"chdir":             {[]place{{-1, 0}}, always},
	"chroot":            {[]place{{-1, 0}}, always},
	"execve":            {[]place{{-1, 0}}, always},
	"inotify_add_watch": {[]place{{-1, 1}}, flag("IN_DONT_FOLLOW", false)},
}

func always([]string) bool { return true }
func never([]string) bool  { return false }

// opens judges the flags of an open, at an index.
func opens(at int) func([]string) bool {
	return func(args []string) bool {
		if at >= len(args) {
			return true
		}
		f := args[at]
		return !strings.Contains(f, "O_NOFOLLOW") && !(strings.Contains(f, "O_CREAT") && strings.Contains(f, "O_EXCL"))
	}
}

// flag says what a flag makes of a call that without it does the opposite.
func flag(name string, follows bool) func([]string) bool {
	return func(args []string) bool {
		return strings.Contains(args[len(args)-1], name) == follows
	}
}

// Trace is the argument of strace's -e that has it write what this package reads.
func Trace() string {
	names := []string{"execveat", "fchdir", "setns", "pivot_root", "unshare", "?clone3", "?clone", "?fork", "?vfork"}
	for name := range judged {
		names = append(names, "?"+name)
	}
	slices.Sort(names)
	return "trace=" + strings.Join(names, ",")
}

// A process is what its later calls need to know of earlier ones.
type process struct {
	ours    bool
	command []string
}

// A view is what threads share that have one root directory and one working directory.
type view struct {
	away bool
	cwd  string // if it is known
}

type thread struct {
	*process
	*view
}

// Read gives what the programs whose names ours knows have asked of the kernel, from all files in dir
// whose names end in a process ID. Programs that they have started are others, which are trusted: a
// runtime, say. Of a process that has taken another root directory for itself, nothing is told: it
// sees no more than what is below.
func Read(dir fs.FS, ours func(program string) bool) ([]Access, error) {
	lines, err := all(dir)
	if err != nil {
		return nil, err
	}
	var list []Access
	threads := map[int]thread{}
	for _, l := range lines {
		t, ok := threads[l.pid]
		if !ok {
			t = thread{new(process), new(view)}
			threads[l.pid] = t
		}
		if t.ours && !t.away {
			list = append(list, accesses(l.call, t.command, t.cwd)...)
		}
		switch id := started(l.call); {
		case id > 0:
			threads[id] = t.start(strings.Join(l.args, " "))
		case strings.HasPrefix(l.result, "-1 "):
		case strings.HasPrefix(l.name, "execve"):
			*t.process = t.execute(l.call, ours)
		case l.name == "chroot", l.name == "pivot_root":
			t.away = true
		case l.name == "chdir":
			if dir, ok := text(l.args[0]); ok && filepath.IsAbs(dir) {
				t.cwd = dir
			} else {
				t.cwd = ""
			}
		case l.name == "fchdir":
			t.cwd = path(l.args[0])
		case l.name == "unshare" && strings.Contains(l.args[0], "CLONE_FS"):
			own := *t.view
			threads[l.pid] = thread{t.process, &own}
		}
	}
	return list, nil
}

// A line is a call with who has made it, and when it began.
type line struct {
	call
	pid int
	at  float64 // in seconds
}

// all lines of all files, in their order in time.
func all(dir fs.FS) ([]line, error) {
	names, err := fs.Glob(dir, "*")
	if err != nil {
		return nil, err
	}
	var list []line
	for _, name := range names {
		pid, err := strconv.Atoi(strings.TrimPrefix(filepath.Ext(name), "."))
		if err != nil {
			continue
		}
		data, err := fs.ReadFile(dir, name)
		if err != nil {
			return nil, err
		}
		for s := range strings.Lines(string(data)) {
			stamp, rest, _ := strings.Cut(strings.TrimSuffix(s, "\n"), " ")
			at, err := strconv.ParseFloat(stamp, 64)
			if c, ok := parse(rest); ok && err == nil {
				list = append(list, line{c, pid, at})
			}
		}
	}
	slices.SortStableFunc(list, func(a, b line) int { return cmp.Compare(a.at, b.at) })
	return list, nil
}

// start is a thread of t, or a process, as the flags of clone say.
func (t thread) start(flags string) thread {
	p, v := *t.process, *t.view
	child := thread{&p, &v}
	if strings.Contains(flags, "CLONE_THREAD") {
		child.process = t.process
	}
	if strings.Contains(flags, "CLONE_FS") {
		child.view = t.view
	}
	return child
}

// started is the ID of the thread that a call has started, or 0. In a namespace of process IDs of
// its own, strace adds ours.
func started(c call) int {
	switch c.name {
	case "clone", "clone3", "fork", "vfork":
	default:
		return 0
	}
	id, _, _ := strings.Cut(c.result, " ")
	if _, outer, ok := strings.Cut(c.result, "/* "); ok {
		id, _, _ = strings.Cut(outer, " ")
	}
	n, _ := strconv.Atoi(id)
	return n
}

// execute is the process after it has executed a program. What a program executes of itself, or from
// memory, is known by the word that it is given as its name.
func (p process) execute(c call, ours func(string) bool) process {
	at := 0
	if c.name == "execveat" {
		at = 1
	}
	if len(c.args) < at+2 {
		return p
	}
	name, _ := text(c.args[at])
	command := words(c.args[at+1])
	if name == "" || strings.HasPrefix(name, "/proc/") {
		if !p.ours || len(command) == 0 { // a runtime that executes itself
			return process{p.ours, command}
		}
		name = command[0]
	}
	return process{ours(filepath.Base(name)), command}
}

// accesses are the names in a call of a program with a working directory.
func accesses(c call, command []string, cwd string) []Access {
	j, ok := judged[c.name]
	if !ok {
		return nil
	}
	var list []Access
	for _, p := range j.places {
		if p.name >= len(c.args) {
			continue
		}
		name, ok := text(c.args[p.name])
		if !ok || name == "" {
			continue // the descriptor itself
		}
		a := Access{
			Command: command, Name: name, Follows: j.follows(c.args),
			Call: c.name + "(" + strings.Join(c.args, ", ") + ") = " + c.result,
		}
		switch {
		case filepath.IsAbs(name):
		case p.dir < 0 && cwd != "":
			a.Base, a.Below = cwd, true
		case p.dir >= 0:
			a.Base, a.Below = path(c.args[p.dir]), true
		}
		if c.name == "openat2" {
			a.Confined = strings.Contains(c.args[2], "RESOLVE_IN_ROOT") || strings.Contains(c.args[2], "RESOLVE_BENEATH")
		}
		if strings.HasPrefix(c.name, "open") {
			a.Real = path(c.result)
		}
		list = append(list, a)
	}
	return list
}
