// SPDX-License-Identifier: Apache-2.0

package image

import (
	"fmt"
	"strconv"
	"time"

	"github.com/docker/go-units"
	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/format"
	"github.com/spf13/cobra"
	"go.podman.io/common/libimage"
)

// historyRow is a step of an image's history; the names of fields and methods are podman's.
type historyRow struct {
	libimage.ImageHistory
	human, whole bool
}

func (r historyRow) ID() string {
	if r.whole || len(r.ImageHistory.ID) < 12 {
		return r.ImageHistory.ID
	}
	return r.ImageHistory.ID[:12]
}

func (r historyRow) Created() string {
	if !r.human {
		return r.CreatedAt()
	}
	return r.CreatedSince()
}

func (r historyRow) CreatedSince() string {
	if r.ImageHistory.Created == nil {
		return ""
	}
	return units.HumanDuration(time.Since(*r.ImageHistory.Created)) + " ago"
}

func (r historyRow) CreatedAt() string {
	if r.ImageHistory.Created == nil {
		return ""
	}
	return r.ImageHistory.Created.Format(time.RFC3339)
}

func (r historyRow) Size() string {
	if !r.human {
		return strconv.FormatInt(r.ImageHistory.Size, 10)
	}
	return units.HumanSizeWithPrecision(float64(r.ImageHistory.Size), 3)
}

// createdByWidth is where the command of a step is cut.
const createdByWidth = 45

func (r historyRow) CreatedBy() string {
	if by := r.ImageHistory.CreatedBy; !r.whole && len(by) > createdByWidth {
		return by[:createdByWidth-3] + "..."
	}
	return r.ImageHistory.CreatedBy
}

// historyJSON is a step in JSON, as podman has it.
type historyJSON struct {
	ID        string     `json:"id"`
	Created   *time.Time `json:"created"`
	CreatedBy string     `json:"CreatedBy,omitempty"`
	Size      int64      `json:"size"`
	Comment   string     `json:"comment,omitempty"`
	Tags      []string   `json:"tags,omitempty"`
}

// NewHistory makes podunit history.
func NewHistory(e *cli.Env) *cobra.Command {
	var out string
	var human, noTrunc, quiet bool
	cmd := &cobra.Command{
		Use:               "history [flags] IMAGE",
		Short:             "Show the steps by which an image was made",
		Args:              cli.WantArgs(1, 1),
		ValidArgsFunction: cli.CompleteImages(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			im, err := Open(cmd.Context(), e)
			if err != nil {
				return err
			}
			steps, err := im.History(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if format.IsJSON(out) {
				all := []historyJSON{}
				for _, s := range steps {
					all = append(all, historyJSON(s))
				}
				return format.JSON(e.Stdout, all)
			}
			var rows []historyRow
			for _, s := range steps {
				rows = append(rows, historyRow{s, human, noTrunc})
			}
			if quiet {
				for _, r := range rows {
					fmt.Fprintln(e.Stdout, r.ID())
				}
				return nil
			}
			return format.Rows(e.Stdout, format.Table{
				Format: out, Default: "{{.ID}}\t{{.Created}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}",
				Headings: map[string]string{"CreatedBy": "CREATED BY", "CreatedAt": "CREATED AT", "CreatedSince": "CREATED"},
			}, rows)
		},
	}
	f := cmd.Flags()
	f.StringVar(&out, "format", "", "Go `TEMPLATE`, table TEMPLATE, or json")
	f.BoolVarP(&human, "human", "H", true, "sizes and dates for people")
	f.BoolVar(&noTrunc, "no-trunc", false, "whole IDs and commands")
	f.BoolVarP(&quiet, "quiet", "q", false, "only IDs")
	cli.CompleteFormat[historyRow](cmd)
	return cmd
}

// NewTree makes podunit image tree.
func NewTree(e *cli.Env) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:               "tree [flags] IMAGE",
		Short:             "Draw the layers of an image",
		Args:              cli.WantArgs(1, 1),
		ValidArgsFunction: cli.CompleteImages(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			im, err := Open(cmd.Context(), e)
			if err != nil {
				return err
			}
			text, err := im.Tree(cmd.Context(), args[0], all)
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(e.Stdout, text)
			return err
		},
	}
	cmd.Flags().BoolVar(&all, "whatrequires", false, "also the images that stand on its layers")
	return cmd
}
