// SPDX-License-Identifier: Apache-2.0

package process

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// maxWords is the most bytes that the kernel lets one execute a program with, words and variables
// together. Source: execve(2), Limits on size of arguments and environment.
const maxWords = 6 << 20

// CommandLine are the words that a process was executed with, or has put in their place.
func CommandLine(pid int) ([]string, error) { return words(pid, "cmdline") }

// Environ are the variables that a process was executed with, each NAME=VALUE, or what it has put in
// their place.
func Environ(pid int) ([]string, error) { return words(pid, "environ") }

// words reads a file of a process that has texts. Any process may have the kernel show all of its
// memory there, which may be larger than the machine's. Source: PR_SET_MM(2const).
func words(pid int, name string) ([]string, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/%s", pid, name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxWords))
	return strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00"), err
}
