// SPDX-License-Identifier: Apache-2.0

package image

import (
	"errors"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/format"
	"github.com/spf13/cobra"
	"go.podman.io/common/libimage"
	"go.podman.io/common/libimage/filter"
	"go.podman.io/image/v5/types"
)

// tagList are the tags of a repository in JSON, as podman has them.
type tagList struct {
	Name string
	Tags []string
}

// NewSearch makes podunit search.
func NewSearch(e *cli.Env) *cobra.Command {
	var (
		o         libimage.SearchOptions
		out       string
		filters   []string
		tlsVerify bool
		docker    bool
	)
	cmd := &cobra.Command{
		Use:     "search [flags] TERM",
		Short:   "Look for images in registries",
		Long:    "Look for images in the registries of registries.conf, or in that of which the name is in front of TERM.",
		Example: "  podunit search quay.io/fedora\n  podunit search --list-tags docker.io/library/nginx",
		Args:    cli.WantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("tls-verify") {
				o.InsecureSkipTLSVerify = types.NewOptionalBool(!tlsVerify)
			}
			if o.ListTags && len(filters) > 0 {
				return errors.New("filters are not applicable to list tags result")
			}
			if docker && (o.ListTags || out != "") {
				return errors.New("--compatible is about the table of images: it goes neither with --list-tags nor with --format")
			}
			if len(filters) > 0 {
				f, err := filter.ParseSearchFilter(filters)
				if err != nil {
					return err
				}
				o.Filter = *f
			}
			im, err := Open(cmd.Context(), e)
			if err != nil {
				return err
			}
			found, err := im.Search(cmd.Context(), args[0], o)
			if err != nil {
				return err
			}
			if format.IsJSON(out) && o.ListTags {
				return format.JSON(e.Stdout, tagsOf(found))
			}
			columns := "{{.Name}}\t{{.Description}}"
			if docker {
				columns += "\t{{.Stars}}\t{{.Official}}\t{{.Automated}}"
			}
			if o.ListTags {
				columns = "{{.Name}}\t{{.Tag}}"
			}
			if format.IsJSON(out) {
				return format.JSON(e.Stdout, found)
			}
			return format.Rows(e.Stdout, format.Table{Format: out, Default: columns}, found)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Authfile, "authfile", "", "`FILE` with credentials")
	f.StringVar(&o.CertDirPath, "cert-dir", "", "`DIR` with certificates for the registry")
	f.BoolVar(&docker, "compatible", false, "as docker's table: also stars, and whether it is official and automated")
	f.StringVar(&o.Credentials, "creds", "", "`USER:PASSWORD` for the registry")
	f.StringArrayVarP(&filters, "filter", "f", nil, "only what matches `KEY=VALUE`: stars=N, is-official, is-automated")
	f.StringVar(&out, "format", "", "Go `TEMPLATE`, table TEMPLATE, or json")
	f.IntVar(&o.Limit, "limit", 0, "no more than `N` results; 25 for repositories, 50 for tags where not said")
	f.BoolVar(&o.ListTags, "list-tags", false, "list the tags of a repository")
	f.BoolVar(&o.NoTrunc, "no-trunc", false, "whole descriptions")
	f.BoolVar(&tlsVerify, "tls-verify", true, "want HTTPS and a valid certificate")
	cli.CompleteFormat[libimage.SearchResult](cmd)
	return cli.Waits(cmd)
}

// tagsOf puts the tags of each repository together.
func tagsOf(found []libimage.SearchResult) []tagList {
	all := []tagList{}
	for _, r := range found {
		if n := len(all); n > 0 && all[n-1].Name == r.Name {
			all[n-1].Tags = append(all[n-1].Tags, r.Tag)
			continue
		}
		all = append(all, tagList{r.Name, []string{r.Tag}})
	}
	return all
}
