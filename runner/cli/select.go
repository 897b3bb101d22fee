// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/safe"
	"github.com/podunit/podunit/runner/service"
	"github.com/podunit/podunit/runner/view"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Selection is how stop, kill and rm say which containers are meant.
type Selection struct {
	All, Latest, Ignore bool
	Force               bool // a container that does not exist is no error either
	CIDFiles            []string
	Filters             []string // --filter; where no container is named, all that match are meant
	Running             bool     // of all, only those that run

	given map[string]string // what each was called, by its ID
}

// Flags registers the flags that choose containers for a verb.
func (s *Selection) Flags(cmd *cobra.Command, verb string) {
	cmd.Flags().BoolVarP(&s.All, "all", "a", false, verb+" all containers")
	cmd.Flags().BoolVarP(&s.Latest, "latest", "l", false, verb+" the container made last")
	cmd.Flags().BoolVarP(&s.Ignore, "ignore", "i", false, "a container that does not exist is no error")
	cmd.Flags().StringArrayVar(&s.CIDFiles, "cidfile", nil, "read the ID of a container from `FILE`")
}

// FilterFlag registers --filter for a verb.
func (s *Selection) FilterFlag(cmd *cobra.Command) {
	cmd.Flags().StringArrayVarP(&s.Filters, "filter", "f", nil, "only containers that match `KEY=VALUE`, as in podunit ps")
}

// Resolve finds the containers meant; faults are reported together.
func (s *Selection) Resolve(x *service.Engine, args []string) ([]container.Record, error) {
	named := len(args)+len(s.CIDFiles) > 0
	if len(s.Filters) > 0 && !named && !s.Latest {
		s.All = true
	}
	found, err := s.resolve(x, args)
	if len(s.Filters) == 0 && (!s.Running || named) {
		return found, err
	}
	fits, ferr := matching(x, s.Filters)
	if ferr != nil {
		return nil, ferr
	}
	return slices.DeleteFunc(found, func(r container.Record) bool {
		row, ok := fits[r.ID]
		return !ok || s.Running && !named && row.Pid == 0
	}), err
}

// matching are the rows of the containers that match filters, by their IDs.
func matching(x *service.Engine, filters []string) (map[string]view.ContainerRow, error) {
	match, err := view.ContainerFilters(filters, x.Find)
	if err != nil {
		return nil, err
	}
	rows, err := view.Containers(x, false)
	if err != nil {
		return nil, err
	}
	fits := map[string]view.ContainerRow{}
	for _, row := range rows {
		if match(row) {
			fits[row.ID] = row
		}
	}
	return fits, nil
}

func (s *Selection) resolve(x *service.Engine, args []string) ([]container.Record, error) {
	switch {
	case s.All && s.Latest, (s.All || s.Latest) && len(args)+len(s.CIDFiles) > 0:
		if s.All && !s.Latest {
			return nil, errors.New("no arguments are needed with --all")
		}
		return nil, errors.New("--all, --latest and names exclude each other")
	case !s.All && !s.Latest && len(args)+len(s.CIDFiles) == 0:
		return nil, hint.With(errors.New("you must provide at least one name or id"), "a name or ID of a container, --all or --latest")
	}
	if s.All || s.Latest {
		all, err := x.Containers.List()
		if err != nil || s.All || len(all) == 0 {
			return all, err
		}
		last := all[0]
		for _, r := range all {
			if r.Created.After(last.Created) {
				last = r
			}
		}
		return []container.Record{last}, nil
	}
	ids, err := IDsOf(s.CIDFiles, s.Ignore || s.Force)
	args = slices.Concat(args, ids)
	errs := []error{err}
	var out []container.Record
	s.given = map[string]string{}
	for _, name := range args {
		find := x.Find
		if s.Ignore {
			find = x.Containers.LookupExact // units say so
		}
		r, err := find(name)
		switch {
		case err == nil && s.given[r.ID] != "": // named twice
		case err == nil:
			s.given[r.ID] = name
			out = append(out, r)
		case (s.Ignore || s.Force) && errors.Is(err, container.ErrNotFound):
		default:
			errs = append(errs, err)
		}
	}
	return out, errors.Join(errs...)
}

// maxID is the most bytes of a file with an ID: 64 digits, and what an editor may have put around
// them.
const maxID = 1024

// IDsOf reads IDs from files that --cidfile or --pod-id-file has written. A file that does not
// exist is no error with ignore; faults come back together, beside the IDs that could be read.
func IDsOf(files []string, ignore bool) ([]string, error) {
	var ids []string
	var errs []error
	for _, path := range files {
		b, err := safe.ReadGiven(path, maxID)
		switch {
		case err == nil:
			ids = append(ids, strings.TrimSpace(string(b)))
		case !ignore || !errors.Is(err, os.ErrNotExist):
			errs = append(errs, err)
		}
	}
	return ids, errors.Join(errs...)
}

// Given is what the command line calls a container; its ID where it means all, or the latest.
// Scripts compare it with what they wrote.
func (s *Selection) Given(r container.Record) string { return cmp.Or(s.given[r.ID], r.ID) }

// seconds reads a stop timeout; negative waits for ever. Source: podman-stop(1).
func seconds(n int) time.Duration {
	if n < 0 {
		return math.MaxInt64
	}
	return time.Duration(n) * time.Second
}

// StopTimeout is --time, how long to wait between the stop signal and SIGKILL.
type StopTimeout struct {
	set     *pflag.Flag
	seconds int
}

// Flag registers the flag.
func (t *StopTimeout) Flag(cmd *cobra.Command) {
	cmd.Flags().IntVarP(&t.seconds, "time", "t", 10, "`SECONDS` between the stop signal and SIGKILL; -1 waits for ever")
	t.set = cmd.Flags().Lookup("time")
	// Podman takes either word, and so do scripts.
	cmd.Flags().SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "timeout" {
			name = "time"
		}
		return pflag.NormalizedName(name)
	})
}

// Or is what was asked for, else d.
func (t *StopTimeout) Or(d time.Duration) time.Duration {
	if t.set.Changed {
		return seconds(t.seconds)
	}
	return d
}

// ForEach does something to each of what a command line means, and prints the names of
// those it was done to. Faults, err among them, come back together.
func ForEach[T any](e *Env, all []T, err error, name func(T) string, do func(T) error) error {
	errs := []error{err}
	for _, one := range all {
		if err := do(one); err != nil {
			errs = append(errs, err)
			continue
		}
		fmt.Fprintln(e.Stdout, name(one))
	}
	return errors.Join(errs...)
}
