// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"path"
	"strings"

	"github.com/podunit/podunit/generator/quadlet"
	"github.com/podunit/podunit/generator/report"
)

// installLinks makes the links that `systemctl enable` would make for the service of that name, without .service.
func installLinks(u *quadlet.Unit, service string) ([]Link, report.List) {
	if u.File.Group("Install") == nil {
		return nil, nil
	}
	var links []Link
	before := len(u.Report)
	warn := func(key, message, hint string) {
		if l := u.File.Group("Install").Last(key); l != nil {
			u.Warn(l, 0, "install", message, hint)
		}
	}
	if l := u.File.Group("Install").Last("Also"); l != nil {
		u.WarnKey(l, "install", "Also= has no effect in a generated unit", "each file makes its own links; give the other one an [Install] section")
	}
	file := service + ".service"
	seen := map[string]bool{}
	add := func(p, target string) {
		if !seen[p] {
			seen[p] = true
			links = append(links, Link{p, strings.Repeat("../", strings.Count(p, "/")) + target})
		}
	}
	for _, alias := range u.Install("Alias") {
		clean := path.Clean(alias)
		if path.IsAbs(clean) || clean == "." || clean == ".." || strings.HasPrefix(clean, "../") || strings.ContainsRune(clean, 0) {
			warn("Alias", "Alias="+alias+" leads out of the directory of the units and is left out", "write the name of a unit")
			continue
		}
		if clean == file {
			continue
		}
		add(clean, file)
	}
	name := file
	prefix, instance, at := strings.Cut(service, "@")
	if at && instance == "" {
		l := u.File.Group("Install").Last("DefaultInstance")
		if l == nil || strings.Trim(l.Value, `"`) == "" {
			return links, u.Report[before:]
		}
		name = prefix + "@" + strings.Trim(l.Value, `"`) + ".service"
		if strings.ContainsRune(name, '/') {
			warn("DefaultInstance", "DefaultInstance="+l.Value+" contains a slash and is left out", "")
			return links, u.Report[before:]
		}
	}
	for _, by := range []struct{ key, dir string }{{"WantedBy", ".wants/"}, {"RequiredBy", ".requires/"}, {"UpheldBy", ".upholds/"}} {
		for _, unit := range u.Install(by.key) {
			if strings.ContainsRune(unit, '/') || unit == "" || len(unit) > 240 {
				warn(by.key, by.key+"="+unit+" is not the name of a unit and is left out", "")
				continue
			}
			add(unit+by.dir+name, file)
		}
	}
	return links, u.Report[before:]
}
