// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"text/template"
	"time"

	"github.com/docker/go-units"
)

// LogFile is the log driver that writes a file, beside the journal.
const LogFile = "k8s-file"

// logOptions are the options of log drivers.
var logOptions = []string{"tag", "label", "path", "max-size", "max-file"}

// journalName is a name of a field that others than journald may write. Source:
// systemd.journal-fields(7), sd_journal_print(3).
var journalName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Z][A-Z0-9_]{0,63}$`) })

// Tagged is what a template in a tag may show of a container, with the names that podman inspect
// has for it.
type Tagged struct {
	ID, Name         string
	Image, ImageName string // the ID, and the reference
	Pod              string // the ID, empty in none
	Created          time.Time
	Config           struct {
		Hostname, User, Image string
		Labels                map[string]string
	}
}

// TagOf is the tag of a container: its words, with what a template in them shows. Source:
// podman-run(1), --log-opt tag.
func (l Log) TagOf(c Tagged) (string, error) {
	if !strings.Contains(l.Tag, "{{") {
		return l.Tag, nil
	}
	var out strings.Builder
	form, err := template.New("tag").Parse(l.Tag)
	if err == nil {
		err = form.Execute(&out, c)
	}
	if err != nil {
		return "", fmt.Errorf("tag=%q: %w; such as {{.Name}}, {{.ID}}, {{.ImageName}}, {{.Config.Hostname}} and {{index .Config.Labels \"NAME\"}}", l.Tag, err)
	}
	return out.String(), nil
}

// tryTag is the error of the tag's template, if it has one: it is tried on a container of which all
// is known, since one may take parts of what it shows.
func (l Log) tryTag() error {
	text := strings.Repeat("0123456789abcdef", 4) // as long as an ID
	c := Tagged{ID: text, Name: text, Image: text, ImageName: text, Pod: text}
	c.Config.Hostname, c.Config.User, c.Config.Image = text, text, text
	_, err := l.TagOf(c)
	return err
}

// option takes one --log-opt. Relative paths are taken from dir. Source: podman-run(1), --log-opt.
func (l *Log) option(name, value, dir string) error {
	switch name {
	case "tag":
		l.Tag = value
		return l.tryTag()
	case "label":
		name, text, found := strings.Cut(value, "=")
		if name == "" || !found {
			return errors.New("label= must have a name and a value")
		}
		if !journalName().MatchString(name) {
			return fmt.Errorf("label=%q: the journal takes no such name: capital letters, digits and _ are, and a letter comes first", name)
		}
		if l.Labels == nil {
			l.Labels = map[string]string{}
		}
		l.Labels[name] = text
	case "path":
		if value == "" {
			return errors.New("path= is empty")
		}
		l.Path = absolute(value, dir)
	case "max-size":
		n, err := units.FromHumanSize(value)
		if err != nil || n < 0 {
			return fmt.Errorf("max-size=%q is not a size, such as 10mb", value)
		}
		l.MaxSize = n
	case "max-file":
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 || n > 1000 {
			return fmt.Errorf("max-file=%q is not a number from 1 to 1000", value)
		}
		l.MaxFiles = n
	}
	return nil
}
