// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"slices"
	"strings"
)

// Redacted stands where a secret was. Source: podman-inspect(1) of a container with secrets.
const Redacted = "*******"

// Redact copies a command line for a record and leaves out what must not be kept: the values of
// flags that hold a login or a key. args begins with the program's name; words from the image on
// are the container's and stay as they are.
func Redact(args []string) []string {
	out := slices.Clone(args)
	i := slices.IndexFunc(out, func(w string) bool { return w == "run" || w == "create" }) + 1
	if i == 0 {
		return out
	}
	table := rows()
	find := func(is func(*row) bool) *row {
		if j := slices.IndexFunc(table, func(r row) bool { return is(&r) }); j >= 0 {
			return &table[j]
		}
		return nil
	}
	for ; i < len(out); i++ {
		word := out[i]
		if name, long := strings.CutPrefix(word, "--"); long {
			if name == "" {
				return out
			}
			name, _, given := strings.Cut(name, "=")
			r := find(func(r *row) bool { return r.named(name) })
			switch {
			case r == nil || r.kind == yesno && !given:
			case given && r.secret:
				out[i] = "--" + name + "=" + Redacted
			case !given:
				if i++; i < len(out) && r.secret {
					out[i] = Redacted
				}
			}
			continue
		}
		if len(word) < 2 || word[0] != '-' {
			return out // the image
		}
		// A cluster of short flags, of which the last may have its value here or in the next word.
		for j := 1; j < len(word); j++ {
			r := find(func(r *row) bool { return r.short == word[j:j+1] })
			if r == nil || r.kind == yesno {
				continue
			}
			if j == len(word)-1 {
				i++
			}
			break
		}
	}
	return out
}
