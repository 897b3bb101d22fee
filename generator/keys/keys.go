// SPDX-License-Identifier: Apache-2.0

// Package keys is the registry of Quadlet's keys: one table per section, one row a key, data only.
// Decoding, checking, completion, editor syntax and the reference pages all read these rows, in
// this order.
package keys

// Kind names how the assignments to a key become its value.
type Kind uint8

// The kinds. Each says which assignments count, and what is done to their text.
const (
	String      Kind = iota // last one; one pair of enclosing double quotes is stripped; empty means unset
	StringEmpty             // as String, but an empty value counts
	Bool                    // last one; 1, yes, true, on in any case are true, all else is false
	Switch                  // as Bool, but only true has an effect
	List                    // each one a value, verbatim; an empty one discards those before it
	Words                   // all; each split at blanks, quotes group and are removed; an empty one resets
	Args                    // all; each split as a command line with C escapes; an empty one resets
	Command                 // last one, split as Args
	Env                     // all; words NAME=VALUE or NAME; a later one of a name wins; sorted; an empty one resets
	Number                  // last one; unsigned 32-bit integer, 0x and 0 prefixes understood
)

// String names the kind for people.
func (k Kind) String() string {
	return [...]string{
		"string", "string, may be empty", "boolean", "switch", "list, one value a line", "list, words",
		"list, command-line words", "command line", "list, NAME=VALUE words", "number",
	}[k]
}

// Repeats tells whether several assignments add up.
func (k Kind) Repeats() bool { return k == List || k == Words || k == Args || k == Env }

// Form names the grammar of one value, for checks and editors.
type Form uint8

// The forms. Any is whatever the runner takes.
const (
	Any Form = iota
	Integer
	Path
	Duration
	Size
	Signal
	Port   // [[ip:][host port:]container port[/protocol]
	Expose // port or range, with optional protocol
	Reference
	IPv4
	IPv6
	IP
	CIDR
	IPRange
	Capability
	Device
	Mount
	Volume
	Network
	IDMap
	UserName
	Assignment // name=value
	HostIP     // name:ip
	Tmpfs
	Timezone
	Ulimit
	UserNS
	Names // file names of other units
)

// Key is a row.
type Key struct {
	Name       string
	Kind       Kind
	Form       Form
	Values     []string // all values there are, when they can be listed
	Value      string   // how the value looks, for people: "PATH", "HOST:IP"
	Flag       string   // of the runner; ending in "=" when flag and value are one word; empty when convert has a function
	Default    string   // what happens without the key, when that is worth saying
	Since      string   // first version of Podman that has it
	Deprecated string   // what to use instead
	Example    string   // right-hand side
	Doc        string
}

// Section is a table: the keys of one type of unit file.
type Section struct {
	Name   string // as in [Container]
	Ext    string // of its files, with dot; empty for [Quadlet]
	Suffix string // of the service name
	Since  string
	Doc    string
	Keys   []Key
}

// Key finds a row by name, nil if there is none.
func (s *Section) Key(name string) *Key {
	for i := range s.Keys {
		if s.Keys[i].Name == name {
			return &s.Keys[i]
		}
	}
	return nil
}

// Sections returns all tables, in the order of the reference. The rows are shared and must not be
// changed.
func Sections() []*Section { return sections }

// Lookup finds a table by section name, nil if there is none.
func Lookup(section string) *Section {
	for _, s := range sections {
		if s.Name == section {
			return s
		}
	}
	return nil
}

// ByExt finds the table for a file extension with its dot, nil if it is not a unit's.
func ByExt(ext string) *Section {
	if ext == "" {
		return nil
	}
	for _, s := range sections {
		if s.Ext == ext {
			return s
		}
	}
	return nil
}

// Newer finds a key that a version of Podman newer than the reference has and podunit does not, nil
// if there is none.
func (s *Section) Newer(name string) *Key {
	for i := range newer {
		if newer[i].Name == name && s.Name == "Container" {
			return &newer[i]
		}
	}
	return nil
}

// Names lists the section's keys.
func (s *Section) Names() []string {
	out := make([]string, len(s.Keys))
	for i := range s.Keys {
		out[i] = s.Keys[i].Name
	}
	return out
}
