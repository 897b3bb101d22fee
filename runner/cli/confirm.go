// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"github.com/podunit/podunit/runner/hint"
)

// Confirm asks a question whose answer is no, unless somebody says yes.
func (e *Env) Confirm(what string) (bool, error) {
	fmt.Fprintf(e.Stdout, "%s\nAre you sure you want to continue? [y/N] ", what)
	if e.Stdin == nil {
		return false, os.ErrClosed
	}
	line, err := bufio.NewReader(e.Stdin).ReadString('\n')
	if err != nil && line == "" {
		return false, hint.With(fmt.Errorf("no answer: %w", err), "--force does not ask")
	}
	return strings.EqualFold(strings.TrimSpace(line), "y") || strings.EqualFold(strings.TrimSpace(line), "yes"), nil
}
