// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"github.com/podunit/podunit/runner/hint"
)

// confirm asks a question whose answer is no, unless somebody says yes.
func (e *env) confirm(what string) (bool, error) {
	fmt.Fprintf(e.stdout, "%s\nAre you sure you want to continue? [y/N] ", what)
	if e.stdin == nil {
		return false, os.ErrClosed
	}
	line, err := bufio.NewReader(e.stdin).ReadString('\n')
	if err != nil && line == "" {
		return false, hint.With(fmt.Errorf("no answer: %w", err), "--force does not ask")
	}
	return strings.EqualFold(strings.TrimSpace(line), "y") || strings.EqualFold(strings.TrimSpace(line), "yes"), nil
}
