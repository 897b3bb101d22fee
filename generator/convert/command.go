// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"strings"

	"github.com/podunit/podunit/generator/keys"
	"github.com/podunit/podunit/generator/quadlet"
	"github.com/podunit/podunit/generator/unitfile"
)

// Command is one command of a generated service.
type Command struct {
	Key string // of [Service], as ExecStart
	// Words are the arguments, the program first. Each knows the word of the unit file that it
	// comes from; Line is nil for those that the generator writes by itself.
	Words []quadlet.WordOf
	Verb  int // which of Words is the first one of the verb; global arguments stand before it
}

// maxWord is the longest argument that execve(2) takes (MAX_ARG_STRLEN less its final NUL).
const maxWord = 128<<10 - 1

// runner begins a command: the program, its modules and global arguments, then the verb.
func (c *converter) runner(verb ...string) *Command {
	room := 8
	if verb[0] == "run" {
		room = 32
	}
	cmd := &Command{Words: make([]quadlet.WordOf, 0, room)}
	cmd.add(c.opt.Runner)
	for _, m := range c.List("ContainersConfModule") {
		cmd.from(m, "--module="+m.Text)
	}
	cmd.words(c.Args("GlobalArgs"))
	cmd.Verb = len(cmd.Words)
	cmd.add(verb...)
	return cmd
}

// add appends words that the generator writes by itself.
func (c *Command) add(texts ...string) {
	for _, t := range texts {
		c.Words = append(c.Words, quadlet.WordOf{Word: unitfile.Word{Text: t}})
	}
}

// from appends words that come from the place of w.
func (c *Command) from(w quadlet.WordOf, texts ...string) {
	for _, t := range texts {
		c.Words = append(c.Words, w.Saying(t))
	}
}

// words appends words as they are.
func (c *Command) words(words []quadlet.WordOf) { c.Words = append(c.Words, words...) }

// flag appends a flag with its value, as one word if the flag ends in "=", else as two.
func (c *Command) flag(flag string, w quadlet.WordOf) {
	if strings.HasSuffix(flag, "=") {
		c.from(w, flag+w.Text)
		return
	}
	c.from(w, flag, w.Text)
}

// value is the last assignment to a key, as one word; its Line is nil if there is none.
func (c *converter) value(key string) quadlet.WordOf {
	l := c.Last(key)
	if l == nil {
		return quadlet.WordOf{}
	}
	return quadlet.Whole(l, c.Str(key))
}

// named is the name of what the unit stands for.
func (c *converter) named() quadlet.WordOf {
	if c.Named == nil {
		return quadlet.WordOf{Word: unitfile.Word{Text: c.Resource}}
	}
	return quadlet.Whole(c.Named, c.Resource)
}

// flags emits keys that map to a flag of the runner, in the way of their kind.
func (c *converter) flags(cmd *Command, names ...string) {
	for _, name := range names {
		l := c.Last(name)
		if l == nil {
			continue
		}
		k := c.Type.Key(name)
		switch k.Kind {
		case keys.String, keys.StringEmpty:
			if v := c.value(name); v.Text != "" || k.Kind == keys.StringEmpty {
				cmd.flag(k.Flag, v)
			}
		case keys.Bool:
			text := k.Flag
			if on, _ := c.BoolOK(name); !on {
				text += "=false"
			}
			cmd.from(quadlet.Whole(l, ""), text)
		case keys.List:
			cmd.each(k.Flag, c.List(name))
		case keys.Words:
			cmd.each(k.Flag, c.Words(name))
		case keys.Args:
			cmd.each(k.Flag, c.Args(name))
		case keys.Env:
			cmd.each(k.Flag, c.Env(name))
		case keys.Switch, keys.Command, keys.Number:
			// None of these maps to a flag by itself; a test sees to it.
		}
	}
}

// each appends a flag once for each value.
func (c *Command) each(flag string, values []quadlet.WordOf) {
	for _, v := range values {
		c.flag(flag, v)
	}
}

// podmanArgs ends a main command: free arguments, then the operands.
func (c *converter) podmanArgs(cmd *Command, operands ...quadlet.WordOf) {
	cmd.words(c.Args("PodmanArgs"))
	cmd.words(operands)
}

// line appends a command to [Service]; prefix is what systemd wants before the program, as "-".
func (c *converter) line(key, prefix string, cmd *Command) {
	size := len(prefix)
	for _, w := range cmd.Words {
		if len(w.Text) > maxWord {
			c.tooLong(key, w)
			return
		}
		size += len(w.Text) + 1
	}
	var text strings.Builder
	text.Grow(size + 8)
	text.WriteString(unitfile.Quote(prefix + cmd.Words[0].Text))
	for _, w := range cmd.Words[1:] {
		text.WriteByte(' ')
		text.WriteString(unitfile.Quote(w.Text))
	}
	c.service.Append(key, text.String())
	if c.keep {
		c.commands = append(c.commands, Command{Key: key, Words: cmd.Words, Verb: cmd.Verb})
	}
}

// tooLong refuses a word that Linux would not take, at the key that it comes from.
func (c *converter) tooLong(key string, w quadlet.WordOf) {
	const hint = "move values into files, as with EnvironmentFile="
	message := "an argument in " + key + "= of the service is longer than the 128 KiB that Linux takes"
	if w.Line == nil {
		c.Fault("word-too-long", message, hint)
		return
	}
	c.FaultKey(w.Line, "word-too-long", message, hint)
}
