// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/docker/go-units"
)

// LogFile is the log driver that writes a file, beside the journal.
const LogFile = "k8s-file"

// logOptions are the options of log drivers.
var logOptions = []string{"tag", "label", "path", "max-size", "max-file"}

// option takes one --log-opt. Relative paths are taken from dir. Source: podman-run(1), --log-opt.
func (l *Log) option(name, value, dir string) error {
	switch name {
	case "tag":
		l.Tag = value
	case "label":
		name, text, found := strings.Cut(value, "=")
		if name == "" || !found {
			return errors.New("label= must have a name and a value")
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
