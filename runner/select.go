// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"time"

	"github.com/podunit/podunit/runner/container"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// selection is how stop, kill and rm say which containers are meant.
type selection struct {
	all, latest, ignore bool
	cidfiles            []string
}

func (s *selection) flags(cmd *cobra.Command, verb string) {
	cmd.Flags().BoolVarP(&s.all, "all", "a", false, verb+" all containers")
	cmd.Flags().BoolVarP(&s.latest, "latest", "l", false, verb+" the container made last")
	cmd.Flags().BoolVarP(&s.ignore, "ignore", "i", false, "a container that does not exist is no error")
	cmd.Flags().StringArrayVar(&s.cidfiles, "cidfile", nil, "read the ID of a container from `FILE`")
}

// resolve finds the containers meant; faults are reported together.
func (s *selection) resolve(x *engines, args []string) ([]container.Record, error) {
	switch {
	case s.all && s.latest, (s.all || s.latest) && len(args)+len(s.cidfiles) > 0:
		return nil, errors.New("--all, --latest and names exclude each other")
	case !s.all && !s.latest && len(args)+len(s.cidfiles) == 0:
		return nil, errors.New("which container? give a name or ID, --all or --latest")
	}
	if s.all || s.latest {
		all, err := x.Containers.List()
		if err != nil || s.all || len(all) == 0 {
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
	var errs []error
	for _, path := range s.cidfiles {
		b, err := os.ReadFile(path)
		if err != nil {
			if !s.ignore || !errors.Is(err, os.ErrNotExist) {
				errs = append(errs, err)
			}
			continue
		}
		args = append(args, strings.TrimSpace(string(b)))
	}
	var out []container.Record
	for _, name := range args {
		r, err := x.Containers.Lookup(name)
		switch {
		case err == nil:
			out = append(out, r)
		case s.ignore && errors.Is(err, container.ErrNotFound):
		default:
			errs = append(errs, err)
		}
	}
	return out, errors.Join(errs...)
}

// seconds reads a stop timeout; negative waits for ever. Source: podman-stop(1).
func seconds(n int) time.Duration {
	if n < 0 {
		return math.MaxInt64
	}
	return time.Duration(n) * time.Second
}

// patience is --time, how long to wait between the stop signal and SIGKILL.
type patience struct {
	set     *pflag.Flag
	seconds int
}

func (p *patience) flag(cmd *cobra.Command) {
	cmd.Flags().IntVarP(&p.seconds, "time", "t", 10, "`SECONDS` between the stop signal and SIGKILL; -1 waits for ever")
	p.set = cmd.Flags().Lookup("time")
}

// or is what was asked for, else d.
func (p *patience) or(d time.Duration) time.Duration {
	if p.set.Changed {
		return seconds(p.seconds)
	}
	return d
}

func nameOf(r container.Record) string { return r.Name }

// forEach does something to each of what a command line means, and prints the names of
// those it was done to. Faults, err among them, come back together.
func forEach[T any](e *env, all []T, err error, name func(T) string, do func(T) error) error {
	errs := []error{err}
	for _, one := range all {
		if err := do(one); err != nil {
			errs = append(errs, err)
			continue
		}
		fmt.Fprintln(e.stdout, name(one))
	}
	return errors.Join(errs...)
}
