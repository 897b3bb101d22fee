// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"encoding/csv"
	"strconv"
	"strings"

	"github.com/podunit/podunit/generator/quadlet"
	"github.com/podunit/podunit/generator/specifier"
	"github.com/podunit/podunit/generator/unitfile"
)

// imageOperand resolves Image=: the name of an .image or .build file stands for the image that it
// provides.
func (c *converter) imageOperand(key, ref string) string {
	if !strings.HasSuffix(ref, ".image") && !strings.HasSuffix(ref, ".build") {
		return ref
	}
	l := c.Last(key)
	u := c.set.Find(ref)
	if u == nil {
		c.FaultAt(l, "missing-unit", "requested Quadlet image "+ref+" was not found", c.missing(ref))
		return ref
	}
	c.set.Mention(c.Unit, u, l, true)
	c.require(u)
	return u.Resource
}

// networks emits Network=: modes and names as they are, .network and .container files as what they
// stand for.
func (c *converter) networks(cmd *Command) {
	for _, l := range c.Lines("Network") {
		name, options, _ := strings.Cut(l.Value, ":")
		isNetwork, isContainer := strings.HasSuffix(name, ".network"), strings.HasSuffix(name, ".container")
		if !isNetwork && !isContainer {
			cmd.flag("--network", quadlet.Whole(l, l.Value))
			continue
		}
		u := c.set.Find(name)
		if u == nil {
			c.FaultAt(l, "missing-unit", "requested Quadlet network "+name+" was not found", c.missing(name))
			continue
		}
		c.set.Mention(c.Unit, u, l, true)
		value := u.Resource
		if isContainer {
			if options != "" {
				c.FaultAt(l, "network-options", "extra options are not supported when joining another container's network", "write Network="+name)
				continue
			}
			value = strings.ReplaceAll(value, "%N", u.Service)
			if strings.ContainsRune(value, '%') {
				c.FaultAt(l, "network-name", "the name of the container of "+name+" is not known before it starts", "set ContainerName= in "+name+", without specifiers")
				continue
			}
			value = "container:" + value
		} else if options != "" {
			value += ":" + options
		}
		c.require(u)
		cmd.flag("--network", quadlet.Whole(l, value))
	}
}

// source resolves the source of a volume or mount to a word of the command: unit files, paths
// relative to the unit file, host paths.
func (c *converter) source(l *unitfile.Line, source string, exts ...string) string {
	word := c.dotted(source, specifier.EscapeExec)
	for _, ext := range exts {
		if !strings.HasSuffix(word, ext) || strings.HasPrefix(word, "/") {
			continue
		}
		u := c.set.Find(word)
		if u == nil {
			c.FaultAt(l, "missing-unit", "requested Quadlet source "+word+" was not found", c.missing(word))
			return word
		}
		c.set.Mention(c.Unit, u, l, true)
		c.require(u)
		return u.Resource
	}
	c.mounted(l, c.dotted(source, specifier.Escape))
	return word
}

// volumes emits Volume=.
func (c *converter) volumes(cmd *Command) {
	for _, l := range c.Lines("Volume") {
		parts := strings.SplitN(l.Value, ":", 3)
		if len(parts) == 1 {
			cmd.flag("-v", quadlet.Whole(l, parts[0]))
			continue
		}
		source, dest, options := parts[0], parts[1], ""
		if len(parts) == 3 {
			options = ":" + parts[2]
		}
		if source != "" {
			source = c.source(l, source, ".volume", ".artifact")
		}
		if source == "" {
			cmd.flag("-v", quadlet.Whole(l, dest))
			continue
		}
		cmd.flag("-v", quadlet.Whole(l, source+":"+dest+options))
	}
}

// mounts emits Mount=.
func (c *converter) mounts(cmd *Command) {
	for _, w := range c.Args("Mount") {
		if spec, ok := c.mount(w); ok {
			cmd.flag("--mount", w.Saying(spec))
		}
	}
}

func (c *converter) mount(w quadlet.WordOf) (string, bool) {
	r := csv.NewReader(strings.NewReader(w.Text))
	fields, err := r.Read()
	if err == nil && len(fields) > 0 {
		_, more := r.Read()
		if more == nil {
			err = csv.ErrQuote
		}
	}
	if err != nil {
		c.FaultWord(w.Line, w.Word, "mount", "Mount= is not comma-separated: "+err.Error(), `quote a field that holds commas or quotes: "like ""this"""`)
		return "", false
	}
	kind := "volume"
	for i, f := range fields {
		if t, ok := strings.CutPrefix(f, "type="); ok {
			kind = t
			fields = append(fields[:i:i], fields[i+1:]...)
			break
		}
	}
	switch kind {
	case "volume", "bind", "glob", "image", "artifact":
	default:
		return w.Text, true
	}
	source, at := "", -1
	for i, f := range fields {
		name, value, has := strings.Cut(f, "=")
		if !has && strings.HasPrefix(f, "/") {
			// SOURCE:PATH belongs into Volume=. No runner takes it here, and Podman 5 refuses it
			// with this message.
			c.FaultWord(w.Line, w.Word, "mount", "source cannot be empty", "write type=bind,source=PATH,destination=PATH, or Volume=SOURCE:PATH")
			return "", false
		}
		if name != "source" && name != "src" {
			continue
		}
		if !has {
			c.FaultWord(w.Line, w.Word, "mount", name+" has no value", "write "+name+"=PATH")
			return "", false
		}
		source, at = value, i
	}
	switch {
	case source != "":
		fields[at] = "source=" + c.source(w.Line, source, ".volume", ".image", ".artifact")
	case kind != "volume":
		c.FaultWord(w.Line, w.Word, "mount", "source parameter is required for mount type "+kind, "write type="+kind+",source=PATH,destination=PATH")
		return "", false
	case at >= 0:
		fields = append(fields[:at:at], fields[at+1:]...)
	}
	var b strings.Builder
	out := csv.NewWriter(&b)
	// A strings.Builder takes everything, and no field can be refused.
	_ = out.Write(append([]string{"type=" + kind}, fields...))
	out.Flush()
	return strings.TrimSuffix(b.String(), "\n"), true
}

// idMappings emits the keys that map users and groups: the new keys, or else the deprecated ones.
func (c *converter) idMappings(cmd *Command) {
	before := len(cmd.Words)
	for _, key := range []string{"UserNS", "UIDMap", "GIDMap", "SubUIDMap", "SubGIDMap"} {
		if c.Type.Key(key) != nil {
			c.flags(cmd, key)
		}
	}
	if len(cmd.Words) > before {
		for _, key := range []string{"RemapUsers", "RemapUid", "RemapGid"} {
			if l := c.Last(key); l != nil {
				c.FaultKey(l, "remap", "deprecated Remap keys are set along with explicit mapping keys", "remove "+key+"=")
				return
			}
		}
		return
	}
	c.remap(cmd)
}

func (c *converter) remap(cmd *Command) {
	mode := c.Str("RemapUsers")
	uids, gids := c.Words("RemapUid"), c.Words("RemapGid")
	line := c.Last("RemapUsers")
	options := func(prefix, uid, gid string, more ...string) string {
		var list []string
		for _, u := range uids {
			list = append(list, uid+u.Text)
		}
		for _, g := range gids {
			list = append(list, gid+g.Text)
		}
		list = append(list, more...)
		if len(list) == 0 {
			return prefix
		}
		return prefix + ":" + strings.Join(list, ",")
	}
	switch mode {
	case "":
		for _, key := range []string{"RemapUid", "RemapGid"} {
			if l := c.Last(key); l != nil {
				c.FaultKey(l, "remap", key+" set without RemapUsers", "UserNS=, UIDMap= and GIDMap= have replaced the Remap keys")
				return
			}
		}
	case "manual":
		if c.Type.Name == "Kube" {
			c.FaultAt(line, "remap", "RemapUsers=manual is not supported", "use UserNS=auto or UserNS=keep-id")
			return
		}
		for _, u := range uids {
			cmd.flag("--uidmap", u)
		}
		for _, g := range gids {
			cmd.flag("--gidmap", g)
		}
	case "auto":
		var size []string
		if n, _ := c.Number("RemapUidSize"); n > 0 {
			size = append(size, "size="+strconv.FormatUint(uint64(n), 10))
		}
		cmd.from(c.value("RemapUsers"), "--userns", options("auto", "uidmapping=", "gidmapping=", size...))
	case "keep-id":
		for _, many := range [][]quadlet.WordOf{uids, gids} {
			if len(many) > 1 {
				c.FaultWord(many[1].Line, many[1].Word, "remap", "RemapUsers=keep-id supports only a single value for UID and GID mapping", "keep one")
				return
			}
		}
		cmd.from(c.value("RemapUsers"), "--userns", options("keep-id", "uid=", "gid="))
	default:
		c.FaultAt(line, "remap", "unsupported RemapUsers option '"+mode+"'", "RemapUsers= is manual, auto or keep-id; UserNS= has replaced it")
	}
}
