// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"slices"
	"testing"

	"github.com/spf13/pflag"
)

func TestNewPod(t *testing.T) {
	parse := func(words ...string) (*Container, error) {
		set := pflag.NewFlagSet("run", pflag.ContinueOnError)
		set.SetInterspersed(false)
		flags := ContainerFlags(set)
		if err := set.Parse(words); err != nil {
			t.Fatal(err)
		}
		return flags.Container(set.Args(), Host{})
	}
	c, err := parse("--pod", "new:shop", "-p", "8080:80", "--network", "pasta", "--hostname", "box", "--name", "web", "image")
	if err != nil {
		t.Fatal(err)
	}
	p := c.NewPod
	if c.Pod != "shop" || p == nil || p.Name != "shop" || !p.Infra || len(p.Publish) != 1 || len(p.Networks) != 1 || p.Hostname != "box" || !slices.Contains(p.Share, "net") {
		t.Errorf("%+v", p)
	}
	if len(c.Publish)+len(c.Networks) != 0 || c.Hostname != "" {
		t.Errorf("the container has kept what is the pod's: %+v", c.Networking)
	}
	if c, err := parse("--pod", "new:shop", "--pod", "other", "image"); err != nil || c.NewPod != nil || c.Pod != "other" {
		t.Errorf("%+v, %v", c, err)
	}
	for _, words := range [][]string{{"--pod", "new:", "image"}, {"--pod", "new:a b", "image"}, {"--pod", "shop", "-p", "80:80", "image"}} {
		if _, err := parse(words...); err == nil {
			t.Errorf("%v passes", words)
		}
	}
}
