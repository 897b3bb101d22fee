// SPDX-License-Identifier: Apache-2.0

package byhand

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/containers/psgo"
	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/runc"
	"github.com/podunit/podunit/runner/service"
	"github.com/podunit/podunit/runner/terminal"
	"github.com/spf13/cobra"
)

// topColumns are the columns of top if none are named. Source: podman-top(1).
var topColumns = []string{"user", "pid", "ppid", "pcpu", "etime", "tty", "time", "args"}

// NewTop makes podunit top.
func NewTop(e *cli.Env) *cobra.Command {
	var latest, list bool
	cmd := &cobra.Command{
		Use:   "top [flags] CONTAINER [COLUMN...|PS-OPTION...]",
		Short: "Show the processes of a container",
		Long: `Show the processes of a container.

Columns: ` + strings.Join(psgo.ListDescriptors(), ", ") + `.
Words that begin with a dash are options of ps(1), which is executed in the container then.`,
		Example:           "  podunit top web\n  podunit top web pid huser seccomp args\n  podunit top web -ef",
		ValidArgsFunction: cli.CompleteContainers(e, cli.RunningOnly),
		RunE: func(cmd *cobra.Command, args []string) error {
			if list {
				for _, d := range psgo.ListDescriptors() {
					fmt.Fprintln(e.Stdout, d)
				}
				return nil
			}
			x, err := e.Open(cmd.Context())
			if err != nil {
				return err
			}
			r, columns, err := one(x, latest, args)
			if err != nil {
				return err
			}
			if len(columns) > 0 && strings.HasPrefix(columns[0], "-") {
				code, err := x.Exec(cmd.Context(), r, container.Exec{
					Command: append([]string{"ps"}, columns...), User: "0", Streams: runc.Streams{Stdout: os.Stdout, Stderr: os.Stderr},
				})
				return cli.Ended(code, err)
			}
			pid, err := firstProcess(x, r)
			if err != nil {
				return err
			}
			return Top(e, []string{pid}, columns)
		},
	}
	cmd.Flags().SetInterspersed(false)
	latestFlag(cmd, &latest)
	cmd.Flags().BoolVar(&list, "list-descriptors", false, "list the columns")
	_ = cmd.Flags().MarkHidden("list-descriptors")
	return cmd
}

// firstProcess is the first process of a container that runs.
func firstProcess(x *service.Engine, r container.Record) (string, error) {
	s, err := x.Containers.Status(r.ID)
	if err != nil {
		return "", err
	}
	if s.PID == 0 {
		return "", errors.New("top can only be used on running containers")
	}
	return strconv.Itoa(s.PID), nil
}

// Top shows all processes in the PID namespaces of the given processes, each namespace once.
func Top(e *cli.Env, pids, columns []string) error {
	var words []string
	for _, c := range columns {
		words = append(words, strings.FieldsFunc(c, func(r rune) bool { return r == ',' })...)
	}
	if len(words) == 0 {
		words = topColumns
	}
	rows, err := psgo.JoinNamespaceAndProcessInfoByPidsWithOptions(pids, words, &psgo.JoinNamespaceOpts{FillMappings: true})
	if errors.Is(err, psgo.ErrUnknownDescriptor) {
		return fmt.Errorf("%w; columns are %s", err, strings.Join(psgo.ListDescriptors(), ", "))
	}
	if err != nil {
		return err
	}
	return printProcesses(e.Stdout, rows)
}

// printProcesses prints a table. What a process calls itself, and its arguments, are the
// container's text.
func printProcesses(out io.Writer, rows [][]string) error {
	w := tabwriter.NewWriter(out, 12, 1, 3, ' ', 0) // podman's widths
	for _, row := range rows {
		for i, cell := range row {
			row[i] = terminal.Line(cell)
		}
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}
