// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/podunit/podunit/contrib/lab/bench"
	"github.com/podunit/podunit/contrib/lab/cache"
	"github.com/podunit/podunit/contrib/lab/machine"
)

// measure runs groups of benches in a new lab with the podunit of the source tree in the working
// directory.
func (s settings) measure(ctx context.Context, c cache.Dir, names []string) (err error) {
	groups, err := bench.Named(names)
	if err != nil {
		return err
	}
	if s.bench.Rounds < 1 {
		return fmt.Errorf("--rounds %d: at least one", s.bench.Rounds)
	}
	fill := func(upper string) error {
		if out, err := exec.CommandContext(ctx, "make", "install", "PREFIX=/usr", "DESTDIR="+upper).CombinedOutput(); err != nil {
			return fmt.Errorf("make install: %w\n%s", err, out)
		}
		return nil
	}
	m, err := machine.New(ctx, c, fmt.Sprintf("bench-%d", os.Getpid()), machine.Options{Release: s.release, Owner: os.Getpid(), Fill: fill}, os.Stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Remove()) }()
	if err := m.Boot(ctx); err != nil {
		return err
	}
	ready := machine.Command{User: "root", Timeout: time.Minute, Args: []string{"until curl -fsS localhost:5000/v2/ >/dev/null 2>&1; do sleep 0.1; done"}}
	if _, err := m.Run(ctx, ready); err != nil {
		return err
	}
	s.bench.Log = os.Stdout
	report, err := bench.Run(ctx, m, groups, s.bench)
	// What was measured before a failure is worth its time.
	if len(report.Results) > 0 {
		err = errors.Join(err, report.Write(s.out))
	}
	return err
}

// compare judges a run by another, the base line.
func compare(args []string) (int, error) {
	if len(args) != 2 {
		return 125, errors.New("bench-compare: name two files, the base line and the new run")
	}
	base, err := bench.Read(args[0])
	if err != nil {
		return 125, err
	}
	now, err := bench.Read(args[1])
	if err != nil {
		return 125, err
	}
	verdicts, err := bench.Compare(base, now)
	if err != nil {
		return 125, err
	}
	if bench.Tell(os.Stdout, verdicts) {
		return 1, nil
	}
	return 0, nil
}

// page prints the document of a run.
func page(args []string) error {
	if len(args) != 1 {
		return errors.New("bench-page: name one file")
	}
	r, err := bench.Read(args[0])
	if err == nil {
		fmt.Print(r.Page())
	}
	return err
}
