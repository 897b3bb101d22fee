// SPDX-License-Identifier: Apache-2.0

package image

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/format"
	"github.com/podunit/podunit/runner/image/registry"
	"github.com/spf13/cobra"
	"go.podman.io/image/v5/docker/reference"
)

// imageRow is a row of images: a summary and one of its names. The methods are what
// podman's templates can name beside the fields of the summary.
type imageRow struct {
	registry.Summary
	Repository string
	Tag        string
	whole      bool // --no-trunc
}

func (r imageRow) ID() string {
	if r.whole {
		return "sha256:" + r.Summary.ID
	}
	return r.Summary.ID[:12]
}

func (r imageRow) Created() string { return r.CreatedSince() }
func (r imageRow) CreatedSince() string {
	return units.HumanDuration(time.Since(r.CreatedTime())) + " ago"
}
func (r imageRow) CreatedAt() string { return r.CreatedTime().String() }
func (r imageRow) CreatedTime() time.Time {
	return r.Summary.CreatedTime()
}

func (r imageRow) Size() string {
	s := units.HumanSizeWithPrecision(float64(r.Summary.Size), 3)
	i := strings.LastIndexAny(s, "0123456789") + 1
	return s[:i] + " " + s[i:]
}

func (r imageRow) VirtualSize() string { return r.Size() }
func (r imageRow) History() string     { return strings.Join(r.Summary.History, ", ") }

// R shows an image of an additional store, in a column of the name R/O.
func (r imageRow) R() bool { return r.ReadOnly }

// NewImages makes podunit images.
func NewImages(e *cli.Env) *cobra.Command {
	cmd := NewList(e)
	cmd.Use, cmd.Aliases = "images [flags] [NAME]", nil
	return cmd
}

// NewList makes podunit image list.
func NewList(e *cli.Env) *cobra.Command {
	var (
		all, digests, history, noHeading, noTrunc, quiet bool
		out, sort                                        string
		filters                                          []string
	)
	cmd := &cobra.Command{
		Use:     "list [flags] [NAME]",
		Aliases: []string{"ls"},
		Short:   "List images in the storage",
		Long: `List images, a line for each of their names. NAME may have wildcards.

Filters: after, before, since=IMAGE; containers, dangling, intermediate, manifest, readonly=BOOL;
digest, id=PREFIX; label=KEY[=VALUE]; reference=NAME; until=TIME.
Fields: ` + strings.Join(format.Fields[imageRow](), ", ") + ".",
		Args:              cli.WantArgs(0, 1),
		ValidArgsFunction: cli.CompleteImages(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			im, err := Open(cmd.Context(), e)
			if err != nil {
				return err
			}
			if len(args) > 0 {
				filters = append(filters, "reference="+args[0])
			}
			if !all && !slices.ContainsFunc(filters, func(f string) bool { return strings.HasPrefix(f, "intermediate=") }) {
				filters = append(filters, "intermediate=false")
			}
			summaries, err := im.List(cmd.Context(), filters)
			if err != nil {
				return err
			}
			rows := imageRows(summaries, noTrunc)
			if err := sortImages(rows, sort); err != nil {
				return err
			}
			switch {
			case format.IsJSON(out):
				return format.JSON(e.Stdout, imageJSON(rows))
			case quiet:
				seen := make(map[string]bool)
				for _, r := range rows {
					if !seen[r.ID()] {
						fmt.Fprintln(e.Stdout, r.ID())
					}
					seen[r.ID()] = true
				}
				return nil
			}
			return format.Rows(e.Stdout, format.Table{
				Format: out, Default: imageColumns(rows, digests, history), NoHeading: noHeading,
				Headings: map[string]string{"ID": "IMAGE ID", "CreatedSince": "CREATED", "CreatedAt": "CREATED AT", "VirtualSize": "VIRTUAL SIZE", "R": "R/O", "ParentId": "PARENT ID"},
			}, rows)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&all, "all", "a", false, "also images without a name on which others stand")
	f.BoolVar(&digests, "digests", false, "show digests")
	f.StringArrayVarP(&filters, "filter", "f", nil, "only images that match `KEY=VALUE`")
	f.StringVar(&out, "format", "", "Go `TEMPLATE`, table TEMPLATE, or json")
	f.BoolVar(&history, "history", false, "show names an image once had")
	f.BoolVarP(&noHeading, "noheading", "n", false, "no line of headings")
	f.BoolVar(&noTrunc, "no-trunc", false, "whole IDs")
	f.BoolVarP(&quiet, "quiet", "q", false, "only IDs")
	f.StringVar(&sort, "sort", "created", "by created, id, repository, size or tag")
	cli.CompleteFormat[imageRow](cmd)
	cli.Complete(cmd, "sort", "created", "id", "repository", "size", "tag")
	return cmd
}

func imageColumns(rows []imageRow, digests, history bool) string {
	columns := []string{"{{.Repository}}", "{{.Tag}}"}
	if digests {
		columns = append(columns, "{{.Digest}}")
	}
	columns = append(columns, "{{.ID}}", "{{.CreatedSince}}", "{{.Size}}")
	if slices.ContainsFunc(rows, imageRow.R) {
		columns = append(columns, "{{.R}}")
	}
	if history {
		columns = append(columns, "{{if .History}}{{.History}}{{else}}<none>{{end}}")
	}
	return strings.Join(columns, "\t")
}

// imageRows makes a row of each name with a tag, and one of each image without such a name: a digest
// that an image was pulled by is no name more.
func imageRows(images []registry.Summary, whole bool) []imageRow {
	var rows []imageRow
	for _, s := range images {
		var tagged, untagged []imageRow
		for _, name := range s.Names {
			row := imageRow{Summary: s, whole: whole, Tag: "<none>"}
			named, err := reference.ParseNormalizedNamed(name)
			if err != nil {
				continue // a name that is none: the image is listed without it
			}
			row.Repository = named.Name()
			if named, ok := named.(reference.Tagged); ok {
				row.Tag = named.Tag()
				tagged = append(tagged, row)
			} else {
				untagged = append(untagged, row)
			}
		}
		switch {
		case len(tagged) > 0:
			rows = append(rows, tagged...)
		case len(untagged) > 0:
			rows = append(rows, untagged[0])
		default:
			rows = append(rows, imageRow{Summary: s, whole: whole, Repository: "<none>", Tag: "<none>"})
		}
	}
	return rows
}

func sortImages(rows []imageRow, by string) error {
	name := func(a, b imageRow) int {
		return cmp.Or(cmp.Compare(a.Repository, b.Repository), cmp.Compare(a.Tag, b.Tag), cmp.Compare(a.Summary.ID, b.Summary.ID))
	}
	var less func(a, b imageRow) int
	switch by {
	case "created":
		less = func(a, b imageRow) int { return cmp.Compare(b.Summary.Created, a.Summary.Created) } // youngest first
	case "id":
		less = func(a, b imageRow) int { return cmp.Compare(a.Summary.ID, b.Summary.ID) }
	case "repository":
		less = name
	case "size":
		less = func(a, b imageRow) int { return cmp.Compare(a.Summary.Size, b.Summary.Size) }
	case "tag":
		less = func(a, b imageRow) int { return cmp.Compare(a.Tag, b.Tag) }
	default:
		return fmt.Errorf("--sort %s: it is created, id, repository, size or tag", by)
	}
	slices.SortStableFunc(rows, func(a, b imageRow) int { return cmp.Or(less(a, b), name(a, b)) })
	return nil
}

// imageInfo is an image in JSON, with what podman adds to a summary.
type imageInfo struct {
	registry.Summary
	Created   int64
	CreatedAt string
}

func imageJSON(rows []imageRow) []imageInfo {
	all := make([]imageInfo, 0, len(rows))
	for _, r := range rows {
		s := r.Summary
		s.RepoTags = nil // Names has them; podman leaves this empty, too
		all = append(all, imageInfo{Summary: s, Created: s.Created, CreatedAt: r.CreatedTime().Format(time.RFC3339Nano)})
	}
	return all
}
