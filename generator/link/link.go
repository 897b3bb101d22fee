// SPDX-License-Identifier: Apache-2.0

// Package link knows what unit files say about each other: which file a name refers to, which
// containers belong to a pod, which two files claim one service, and which units cannot work
// because one they need has an error.
package link

import (
	"sort"
	"strings"

	"github.com/podunit/podunit/generator/keys"
	"github.com/podunit/podunit/generator/quadlet"
	"github.com/podunit/podunit/generator/report"
	"github.com/podunit/podunit/generator/spelling"
	"github.com/podunit/podunit/generator/unitfile"
)

// Ref is one mention of a unit file in another.
type Ref struct {
	To   *quadlet.Unit
	Key  string // that mentions it
	Line *unitfile.Line
	Off  int  // of the mention in the line's value
	Wide int  // bytes of it
	Hard bool // the referrer cannot work, or its commands cannot be written, without what To stands for
}

// Set is all unit files of a run.
type Set struct {
	Units  []*quadlet.Unit
	byBase map[string]*quadlet.Unit
	pods   map[*quadlet.Unit][]*quadlet.Unit
	refs   map[*quadlet.Unit]*[]Ref
}

// New collects units. Of two with the same file name the first counts; the search path has seen to
// that already.
func New(units []*quadlet.Unit) *Set {
	s := &Set{
		Units:  units,
		byBase: make(map[string]*quadlet.Unit, len(units)),
		pods:   map[*quadlet.Unit][]*quadlet.Unit{},
		refs:   make(map[*quadlet.Unit]*[]Ref, len(units)),
	}
	for _, u := range units {
		if _, ok := s.byBase[u.Base]; !ok {
			s.byBase[u.Base] = u
		}
		s.refs[u] = new([]Ref)
	}
	for _, u := range units {
		if u.Type.Name != "Container" {
			continue
		}
		if p := s.byBase[u.PodFile()]; p != nil && p.Type.Name == "Pod" {
			s.pods[p] = append(s.pods[p], u)
		}
	}
	return s
}

// Find returns the unit file of that name, nil if none is loaded.
func (s *Set) Find(base string) *quadlet.Unit { return s.byBase[base] }

// Members lists the containers that name a pod, in the order they were loaded.
func (s *Set) Members(pod *quadlet.Unit) []*quadlet.Unit { return s.pods[pod] }

// Refs lists what a unit mentions, in the order of conversion.
func (s *Set) Refs(u *quadlet.Unit) []Ref { return *s.refs[u] }

// Mention records that from names to in a line. It may be called for different units at the same
// time.
func (s *Set) Mention(from, to *quadlet.Unit, l *unitfile.Line, hard bool) {
	s.MentionWord(from, to, l, unitfile.Word{End: len(l.Value)}, hard)
}

// MentionWord is Mention for one word of a line.
func (s *Set) MentionWord(from, to *quadlet.Unit, l *unitfile.Line, w unitfile.Word, hard bool) {
	refs := s.refs[from]
	*refs = append(*refs, Ref{To: to, Key: l.Key, Line: l, Off: w.Off, Wide: w.End - w.Off, Hard: hard})
}

// IsUnit tells whether a word ends like the name of a unit file.
func IsUnit(word string) bool {
	i := strings.LastIndexByte(word, '.')
	return i >= 0 && keys.ByExt(word[i:]) != nil
}

// Missing is the hint for a reference to a file that is not there. It offers the name that is
// spelled most alike.
func (s *Set) Missing(base string) string {
	stem, ext := base, ""
	if i := strings.LastIndexByte(base, '.'); i >= 0 {
		stem, ext = base[:i], base[i:]
	}
	var names []string
	for _, u := range s.Units {
		if u.Ext == ext {
			names = append(names, u.Stem)
		}
		if len(names) > 2000 {
			break
		}
	}
	if i := strings.IndexByte(base, '@'); i >= 0 && s.byBase[base[:i+1]+ext] != nil {
		return "refer to the template file itself, " + base[:i+1] + ext
	}
	if near := spelling.Nearest(stem, names); near != "" {
		return "did you mean " + near + ext + "?"
	}
	return "references are by file name; there must be a file " + base + " in one of the search directories"
}

// Claims finds service names that several files claim. Call it after the conversion, which finds
// the files with errors. If exactly one of the files has no error, it gets the service and a
// warning, and the other files get one more error. If not, all of them get an error that names the
// others; with lax that is a warning. Claims returns true if a file that had no error has one now.
func (s *Set) Claims(lax bool) (spread bool) {
	owners := make(map[string][]*quadlet.Unit, len(s.Units))
	clash := false
	for _, u := range s.Units {
		owners[u.Service] = append(owners[u.Service], u)
		clash = clash || len(owners[u.Service]) > 1
	}
	if !clash {
		return false
	}
	names := make([]string, 0, len(owners))
	for name, list := range owners {
		if len(list) > 1 {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	for _, name := range names {
		var good []*quadlet.Unit
		for _, u := range owners[name] {
			if !u.Failed() {
				good = append(good, u)
			}
		}
		for _, u := range owners[name] {
			claim(u, owners[name], lax, len(good) == 1 && good[0] == u)
		}
		spread = spread || len(good) > 1
	}
	return spread && !lax
}

// claim reports on a file that other files claim the same service name; has says that this file
// gets the service.
func claim(u *quadlet.Unit, owners []*quadlet.Unit, lax, has bool) {
	var others []string
	for _, o := range owners {
		if o != u {
			others = append(others, o.Path)
		}
	}
	if len(others) > 5 {
		others = append(others[:5], "others")
	}
	before := len(u.Report)
	message := "the service name " + u.Service + ".service is claimed by " + strings.Join(others, " and ") + " too"
	hint := "rename one of the files, or set ServiceName= in one"
	if has {
		message += ", where there is an error, so this file has it"
	}
	u.FaultAt(u.Last("ServiceName"), "service-clash", message, hint)
	if (lax || has) && len(u.Report) > before {
		u.Report[before].Severity = report.Warning
		u.Report[before].Doing = ""
	}
}

// Propagate fails every unit that needs one that has failed, and names the broken one.
func (s *Set) Propagate() {
	needers := map[*quadlet.Unit][]*quadlet.Unit{}
	var queue []*quadlet.Unit
	for _, u := range s.Units {
		for _, r := range *s.refs[u] {
			if r.Hard {
				needers[r.To] = append(needers[r.To], u)
			}
		}
	}
	if len(needers) == 0 {
		return
	}
	for _, u := range s.Units {
		if u.Failed() {
			queue = append(queue, u)
		}
	}
	for len(queue) > 0 {
		broken := queue[0]
		queue = queue[1:]
		for _, u := range needers[broken] {
			if u.Failed() {
				continue
			}
			for _, r := range *s.refs[u] {
				if r.To == broken && r.Hard {
					u.Report = append(u.Report, needsBroken(u, broken, r))
					break
				}
			}
			queue = append(queue, u)
		}
	}
}

func needsBroken(u, broken *quadlet.Unit, r Ref) report.Diagnostic {
	pos := r.Line.ValuePos(r.Off)
	d := report.Diagnostic{
		Code: "needs-broken", Unit: u.Base, Doing: "converting", Pos: pos, Width: r.Wide, Excerpt: r.Line.Excerpt(pos),
		Message: r.Key + "= needs " + broken.Base + ", which has an error",
	}
	for _, b := range broken.Report {
		if b.Severity == report.Error {
			d.Hint = b.Pos.String() + ": " + b.Message
			break
		}
	}
	return d
}
