// SPDX-License-Identifier: Apache-2.0

package yaml

import (
	"fmt"

	"github.com/podunit/podunit/generator/report"
)

// maxFaults bounds what is said about a stream; nobody reads more.
const maxFaults = 200

// Report gathers findings. The zero value is ready.
type Report struct {
	list   report.List
	more   int
	broken map[*Node]bool
}

// Add takes a finding as it is.
func (r *Report) Add(d report.Diagnostic) {
	if len(r.list) >= maxFaults {
		r.more++
		return
	}
	r.list = append(r.list, d)
}

// At takes a finding about a node. The message is preceded by the path if there is one. With hide,
// the line itself is not shown, as it may hold a secret.
func (r *Report) At(s report.Severity, n *Node, path Path, hide bool, code, message, hint string) {
	if p := path.String(); p != "" {
		message = p + ": " + message
	}
	d := report.Diagnostic{Severity: s, Code: code, Pos: n.Pos(), Message: message, Hint: hint}
	if !hide {
		d.Excerpt = n.File.line(n.Line)
		if n.Kind == Scalar {
			d.Width = len(n.Value)
		}
	}
	r.Add(d)
}

// Break remembers a node that could not be decoded. What follows from that need not be said.
func (r *Report) Break(n *Node) {
	if r.broken == nil {
		r.broken = map[*Node]bool{}
	}
	r.broken[n] = true
}

// Broken tells whether a node could not be decoded.
func (r *Report) Broken(n *Node) bool { return r.broken[n] }

// List is everything found, in order of files and lines; what was too much is counted at the end.
func (r *Report) List() report.List {
	list := append(report.List(nil), r.list...)
	list.Sort()
	if r.more > 0 {
		list = append(list, report.Diagnostic{Severity: report.Error, Code: "too-much", Message: fmt.Sprintf("%d further findings are not shown", r.more)})
	}
	return list
}

// Errors counts the errors so far.
func (r *Report) Errors() int { return r.list.Errors() + r.more }
