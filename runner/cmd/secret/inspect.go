// SPDX-License-Identifier: Apache-2.0

package secret

import (
	"errors"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/format"
	"github.com/podunit/podunit/runner/secret"
	"github.com/podunit/podunit/runner/view"
	"github.com/spf13/cobra"
)

// pretty is the template of --pretty.
const pretty = `ID:              {{.ID}}
Name:            {{.Spec.Name}}
{{range $k, $v := .Spec.Labels}}Label:           {{$k}}={{$v}}
{{end}}Driver:          {{.Spec.Driver.Name}}
{{range $k, $v := .Spec.Driver.Options}}Driver option:   {{$k}}={{$v}}
{{end}}Created at:      {{.CreatedAt}}
Updated at:      {{.UpdatedAt}}{{if .SecretData}}
Secret:          {{.SecretData}}{{end}}`

// NewInspect makes podunit secret inspect.
func NewInspect(e *cli.Env) *cobra.Command {
	var (
		out               string
		forPeople, values bool
	)
	cmd := &cobra.Command{
		Use:               "inspect [flags] SECRET...",
		Short:             "Show all there is to know of secrets, but for their values",
		Args:              cli.WantArgs(1, -1),
		ValidArgsFunction: cli.CompleteSecrets(e),
		RunE: func(_ *cobra.Command, args []string) error {
			if forPeople {
				if out != "" {
					return errors.New("--pretty and --format exclude each other")
				}
				out = pretty
			}
			s, err := e.Secrets()
			if err != nil {
				return err
			}
			chosen, faults := []view.InspectedSecret{}, []error{}
			for _, name := range args {
				var one secret.Secret
				var value []byte
				if values {
					one, value, err = s.Value(name)
				} else {
					one, err = s.Lookup(name)
				}
				if err != nil {
					faults = append(faults, err)
					continue
				}
				chosen = append(chosen, view.InspectSecret(one, value))
			}
			if err := format.Each(e.Stdout, out, chosen); err != nil {
				return err
			}
			return errors.Join(faults...)
		},
	}
	cmd.Flags().StringVarP(&out, "format", "f", "", "Go `TEMPLATE`, or json")
	cmd.Flags().BoolVar(&forPeople, "pretty", false, "for people")
	cmd.Flags().BoolVar(&values, "showsecret", false, "show the values, too")
	cli.CompleteFormat[view.InspectedSecret](cmd)
	return cmd
}
