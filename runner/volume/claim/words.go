// SPDX-License-Identifier: Apache-2.0

package claim

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/podunit/podunit/runner/safe"
)

// named lists the volumes that a command line names, as they are written there: -v and
// --volume, --mount, volume create, and the claims of a file of Kubernetes.
func named(words []string) []string {
	var names []string
	for i, w := range words {
		next := ""
		if i+1 < len(words) {
			next = words[i+1]
		}
		flag, value, inline := strings.Cut(w, "=")
		if !inline {
			value = next
		}
		switch {
		case strings.ContainsAny(w, " \t"):
			names = append(names, named(strings.Fields(w))...) // what a shell is to do
		case flag == "--mount":
			names = append(names, mounted(value)...)
		case flag == "--volume", w == "-v":
			names = append(names, source(value)...)
		case strings.HasPrefix(w, "-v") && w != "-v":
			names = append(names, source(w[2:])...)
		case w == "volume" && next == "create":
			if last := words[len(words)-1]; !strings.HasPrefix(last, "-") && last != next {
				names = append(names, last)
			}
		case w == "kube" && (next == "play" || next == "down"), w == "play" && next == "kube":
			names = append(names, claims(words[i+2:])...)
		}
	}
	return names
}

// source is the name in NAME:DESTINATION[:OPTIONS].
func source(value string) []string {
	name, _, ok := strings.Cut(value, ":")
	if !ok || strings.ContainsAny(name, "/\\") || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "-") {
		return nil
	}
	return []string{name}
}

// mounted is the source in type=volume,source=NAME,...
func mounted(value string) []string {
	var names []string
	fields := strings.Split(value, ",")
	for _, f := range fields {
		k, v, _ := strings.Cut(f, "=")
		if slices.Contains([]string{"source", "src"}, k) && v != "" && !strings.Contains(v, "/") {
			names = append(names, v)
		}
	}
	if kind := slices.IndexFunc(fields, func(f string) bool { return strings.HasPrefix(f, "type=") }); kind >= 0 && fields[kind] != "type=volume" {
		return nil
	}
	return names
}

// claimName is where a pod of Kubernetes names a volume.
var claimName = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`"?claimName"?\s*:\s*["']?([a-zA-Z0-9][a-zA-Z0-9_.-]*)`)
})

// maxYAML is the size from which a file of Kubernetes is not looked at: none is that long.
const maxYAML = 16 << 20

// claims are those of the file among the words.
func claims(words []string) []string {
	var names []string
	for _, w := range words {
		if !filepath.IsAbs(w) {
			continue
		}
		text, err := safe.ReadLinked(w, maxYAML)
		if err != nil {
			continue // the unit cannot read it either, or would not
		}
		for _, m := range claimName().FindAllSubmatch(text, -1) {
			names = append(names, string(m[1]))
		}
	}
	return names
}

// pattern is what a word of a unit may come to: specifiers and variables that the unit's
// file does not settle may be anything. It is nil for a word that can be no name.
// Source: systemd.unit(5), specifiers; systemd.service(5), command lines.
func pattern(word, unit string, variables map[string]string) *regexp.Regexp {
	for range 10 { // a variable may lead to another only where Environment= has one, and not for ever
		expanded := variable().ReplaceAllStringFunc(word, func(v string) string {
			if v == "$$" {
				return v
			}
			if value, ok := variables[strings.Trim(v, "${}")]; ok {
				return value
			}
			return v
		})
		if expanded == word {
			break
		}
		word = expanded
	}
	bare := strings.TrimSuffix(unit, ".service")
	prefix, instance, templated := strings.Cut(bare, "@")
	var b strings.Builder
	for i := 0; i < len(word); i++ {
		switch c := word[i]; {
		case c == '%' && i+1 < len(word):
			i++
			b.WriteString(specified(word[i], bare, prefix, instance, templated))
		case c == '$' && strings.HasPrefix(word[i:], "$$"):
			return nil
		case c == '$':
			v := variable().FindString(word[i:])
			i += max(len(v), 1) - 1
			b.WriteString(".*")
		default:
			b.WriteString(regexp.QuoteMeta(string(c)))
		}
	}
	re, err := regexp.Compile("^" + b.String() + "$")
	if err != nil {
		return nil
	}
	return re
}

var variable = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`\$\$|\$\{[A-Za-z_][A-Za-z0-9_]*\}|\$[A-Za-z_][A-Za-z0-9_]*`)
})

// specified is the pattern of one specifier.
func specified(c byte, bare, prefix, instance string, templated bool) string {
	open := templated && instance == ""
	switch {
	case c == '%':
		return "%"
	case c == 'p':
		return regexp.QuoteMeta(prefix)
	case (c == 'N' || c == 'n') && !open:
		if c == 'n' {
			bare += ".service"
		}
		return regexp.QuoteMeta(bare)
	case c == 'i' && !open:
		return regexp.QuoteMeta(instance)
	}
	return ".*"
}
