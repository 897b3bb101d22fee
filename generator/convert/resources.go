// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"path/filepath"
	"strconv"
	"strings"

	"github.com/podunit/podunit/generator/quadlet"
	"github.com/podunit/podunit/generator/specifier"
	"github.com/podunit/podunit/generator/unitfile"
)

// network writes the service of a .network file. The order of everything is the reference's,
// section 6.5.
func (c *converter) network() {
	if c.Switch("NetworkDeleteOnStop") {
		remove := c.runner("network", "rm")
		remove.words([]quadlet.WordOf{c.named()})
		c.line("ExecStopPost", "", remove)
	}
	create := c.runner("network", "create", "--ignore")
	c.flags(create, "DisableDNS", "Internal", "IPv6", "Driver", "IPAMDriver", "InterfaceName", "DNS")
	c.subnets(create)
	c.flags(create, "Options", "Label")
	c.podmanArgs(create, c.named())
	c.resource(create, true)
}

// subnets pairs Gateway= and IPRange= with Subnet= by position.
func (c *converter) subnets(create *Command) {
	subnets, gateways, ranges := c.Lines("Subnet"), c.Lines("Gateway"), c.Lines("IPRange")
	excess := func(lines []*unitfile.Line, what string) bool {
		if len(lines) <= len(subnets) {
			return false
		}
		if len(subnets) == 0 {
			c.FaultAt(lines[0], "subnet", "cannot set gateway or range without subnet", "set Subnet= too")
		} else {
			c.FaultAt(lines[len(subnets)], "subnet", "cannot set more "+what+" than subnets", "they pair by position: the first with the first Subnet=, and so on")
		}
		return true
	}
	tooManyGateways := excess(gateways, "gateways")
	if excess(ranges, "ranges") || tooManyGateways {
		return
	}
	for i, s := range subnets {
		create.flag("--subnet", quadlet.Whole(s, s.Value))
		if i < len(gateways) {
			create.flag("--gateway", quadlet.Whole(gateways[i], gateways[i].Value))
		}
		if i < len(ranges) {
			create.flag("--ip-range", quadlet.Whole(ranges[i], ranges[i].Value))
		}
	}
}

// volume writes the service of a .volume file. The order of everything is the reference's, section
// 6.6.
func (c *converter) volume() {
	create := c.runner("volume", "create", "--ignore")
	c.flags(create, "UID", "GID", "Driver")
	if c.Str("Driver") == "image" {
		image := c.Str("Image")
		if image == "" {
			c.FaultAt(c.Last("Image"), "no-image", "the key Image is mandatory when using the image driver", "set Image= in [Volume]")
		}
		c.warnShortName("Image", image)
		create.from(c.value("Image"), "--opt", "image="+c.imageOperand("Image", image))
	} else {
		c.volumeOptions(create)
	}
	c.flags(create, "Label")
	c.podmanArgs(create, c.named())
	c.resource(create, true)
}

func (c *converter) volumeOptions(create *Command) {
	if on, ok := c.BoolOK("Copy"); ok && on {
		create.from(c.value("Copy"), "--opt", "copy")
	} else if ok {
		create.from(c.value("Copy"), "--opt", "nocopy")
	}
	device, kind := c.Str("Device"), c.Str("Type")
	if device != "" {
		create.from(c.value("Device"), "--opt", "device="+device)
	}
	switch {
	case kind != "" && device == "":
		c.FaultAt(c.Last("Type"), "volume-type", "key Type can't be used without Device", "set Device= too")
	case kind != "":
		create.from(c.value("Type"), "--opt", "type="+kind)
		if kind == "bind" {
			if specifier.Led(device) {
				c.mountsFor(c.Last("Device"), device)
			} else {
				c.mounted(c.Last("Device"), device)
			}
		}
	}
	var list []string
	var from quadlet.WordOf // the last key that says something
	for _, key := range []string{"User", "Group"} {
		if n, ok := c.Number(key); ok {
			from = c.value(key)
			list = append(list, map[string]string{"User": "uid=", "Group": "gid="}[key]+strconv.FormatUint(uint64(n), 10))
		}
	}
	if options := c.Str("Options"); options != "" {
		from = c.value("Options")
		list = append(list, options)
	}
	if len(list) > 0 {
		create.from(from, "--opt", "o="+strings.Join(list, ","))
	}
}

// image writes the service of an .image file. The order of everything is the reference's, section
// 6.7.
func (c *converter) image() {
	ref := c.value("Image")
	if ref.Text == "" {
		c.FaultAt(ref.Line, "no-image", "no Image key specified", "set Image= in [Image]")
	}
	c.warnShortName("Image", ref.Text)
	pull := c.runner("image", "pull")
	c.flags(pull, "Arch", "AuthFile", "CertDir", "Creds", "DecryptionKey", "OS", "Policy", "Variant", "Retry", "RetryDelay", "AllTags", "TLSVerify")
	c.podmanArgs(pull, ref)
	c.resource(pull, true)
}

// artifact writes the service of an .artifact file. The order of everything is the reference's,
// section 6.9.
func (c *converter) artifact() {
	ref := c.value("Artifact")
	if ref.Text == "" {
		c.FaultAt(ref.Line, "no-artifact", "no Artifact key specified", "set Artifact= in [Artifact]")
	}
	pull := c.runner("artifact", "pull")
	c.flags(pull, "AuthFile", "CertDir", "Creds", "DecryptionKey", "Retry", "RetryDelay", "Quiet", "TLSVerify")
	c.podmanArgs(pull, ref)
	c.resource(pull, true)
}

// build writes the service of a .build file. The order of everything is the reference's, section 6.8.
func (c *converter) build() {
	if c.Resource == "" {
		c.FaultAt(c.Last("ImageTag"), "no-image-tag", "no ImageTag key specified", "set ImageTag= in [Build]")
	}
	operand := c.buildContext()
	build := c.runner("build")
	c.flags(build, "Pull", "Arch", "AuthFile", "IgnoreFile", "Target", "Variant", "Retry", "RetryDelay", "TLSVerify", "ForceRM",
		"DNS", "DNSOption", "DNSSearch", "GroupAdd", "ImageTag", "BuildArg", "Environment", "Label", "Annotation")
	c.networks(build)
	c.flags(build, "Secret")
	c.volumes(build)
	if file := c.value("File"); file.Text != "" {
		build.flag("--file", file)
	}
	c.podmanArgs(build)
	if operand != "" {
		build.from(c.value("SetWorkingDirectory"), operand)
	}
	c.resource(build, false)
}

// buildContext sets WorkingDirectory= and returns the context of the build, "" when the runner
// derives it from the Containerfile. The rules are the reference's, section 6.8.1.
func (c *converter) buildContext() string {
	file, set := c.Str("File"), c.Str("SetWorkingDirectory")
	line := c.Last("SetWorkingDirectory")
	dir, own := "", false // the directory as a word of the command, and whether [Service] has it
	if l, ok := c.ServiceKey("WorkingDirectory"); ok && l.Value != "" {
		dir, own = specifier.EscapeVariables(l.Value), true
	}
	context := ""
	use := func(path func(escape func(string) string) string) {
		if !own {
			dir = path(specifier.EscapeExec)
			c.service.Set("WorkingDirectory", path(specifier.Escape))
		}
	}
	beside := func(escape func(string) string) string { return escape(c.Dir) }
	switch lower := strings.ToLower(set); {
	case set == "":
	case lower == "unit":
		use(beside)
	case lower == "file":
		if file == "" {
			c.FaultAt(line, "working-directory", "SetWorkingDirectory=file needs the key File", "set File=, or use SetWorkingDirectory=unit")
			return ""
		}
		use(func(escape func(string) string) string { return filepath.Dir(c.abs(file, escape)) })
	case lower == "yaml":
		c.FaultAt(line, "working-directory", "unsupported value for SetWorkingDirectory: '"+set+"'", "yaml is for [Kube]; [Build] takes unit, file, a path or a URL")
		return ""
	case isURL(set) || filepath.IsAbs(set):
		context = set
	case !own:
		context = set
		use(beside)
	}
	switch {
	case dir == "" && file == "" && context == "":
		c.Fault("working-directory", "neither SetWorkingDirectory, nor File key specified", "set SetWorkingDirectory=unit to build in the directory of this file")
		return ""
	case context != "":
		return context
	case file != "" && (filepath.IsAbs(file) || isURL(file) || specifier.Led(file)):
		return ""
	case dir == "":
		c.FaultAt(c.Last("File"), "working-directory", "relative path in File key requires SetWorkingDirectory key to be set", "set SetWorkingDirectory=unit")
	}
	return dir
}

// isURL takes everything that begins with http for a URL, as Podman does; published files rely on it.
func isURL(s string) bool {
	if strings.HasPrefix(s, "http") || strings.HasPrefix(s, "git://") {
		return true
	}
	_, after, ok := strings.Cut(s, "github.com/")
	return ok && after != ""
}
