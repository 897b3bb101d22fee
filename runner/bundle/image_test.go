// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"fmt"
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestCheckImage(t *testing.T) {
	many := func(n int, form string) map[string]struct{} {
		all := map[string]struct{}{}
		for i := range n {
			all[fmt.Sprintf(form, i+1)] = struct{}{}
		}
		return all
	}
	words := func(n int) (all []string) {
		for i := range n {
			all = append(all, fmt.Sprintf("A%d=1", i))
		}
		return all
	}
	for name, tc := range map[string]struct {
		image v1.ImageConfig
		args  []string
		want  string // empty is no error
	}{
		"an ordinary one":                {v1.ImageConfig{Volumes: many(9, "/v%d"), ExposedPorts: many(9, "%d/tcp"), Env: words(500), Cmd: []string{"sh"}}, []string{"-P"}, ""},
		"volumes without end":            {v1.ImageConfig{Volumes: many(300000, "/v%d")}, nil, "declares 300000 volumes, and a container may have 1000"},
		"and not wanted":                 {v1.ImageConfig{Volumes: many(300000, "/v%d")}, []string{"--image-volume", "ignore"}, ""},
		"the root as a volume":           {v1.ImageConfig{Volumes: map[string]struct{}{"/./": {}}}, nil, "take the place of its own root"},
		"all ports":                      {v1.ImageConfig{ExposedPorts: many(65535, "%d")}, []string{"-P"}, "exposes 65535 ports"},
		"all ports in a range":           {v1.ImageConfig{ExposedPorts: map[string]struct{}{"1-65535/udp": {}}}, []string{"-P"}, "exposes 65535 ports"},
		"all ports, none published":      {v1.ImageConfig{ExposedPorts: many(65535, "%d")}, nil, ""},
		"variables without end":          {v1.ImageConfig{Env: words(200000)}, nil, "more than the kernel takes"},
		"and left out":                   {v1.ImageConfig{Env: words(200000)}, []string{"--unsetenv-all"}, ""},
		"a variable that is too long":    {v1.ImageConfig{Env: []string{"A=" + strings.Repeat("x", 1<<17)}}, nil, "a variable of the image has 131074 bytes"},
		"an argument that is too long":   {v1.ImageConfig{Cmd: []string{strings.Repeat("x", 1<<17)}}, nil, "an argument of the image has 131072 bytes"},
		"a command of one's own instead": {v1.ImageConfig{Cmd: []string{strings.Repeat("x", 1<<17)}}, []string{"x", "true"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := container(t, append(tc.args, "x")...)
			err := CheckImage(&tc.image, c)
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}
