// SPDX-License-Identifier: Apache-2.0

package play

import (
	"errors"
	"strings"

	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/spec"
)

// IssueKube brings what of Kubernetes YAML is not played yet.
const IssueKube = "Kubernetes YAML"

// Lack is something that package kube understands and that is not played yet. One of the functions
// tells whether something asks for it.
type Lack struct {
	What      string // as the manual says it
	issue     string
	container func(*kube.Container) bool
}

// Lacks are the things that are refused because they are not played yet, in the order of the manual.
func Lacks() []Lack {
	return []Lack{
		{What: "the action RestartAllContainers of an init container", issue: IssueKube, container: func(c *kube.Container) bool { return c.Role == kube.Init && len(c.Restart.PodOn) > 0 }},
	}
}

// notBuilt refuses what a plan asks for and is not played yet, all at once.
func notBuilt(plan *kube.Plan) error {
	var errs []error
	for _, l := range Lacks() {
		say := func(wrong bool, who string) {
			if wrong {
				errs = append(errs, &spec.NotBuilt{What: who + ": " + l.What, Issue: l.issue})
			}
		}
		for _, p := range plan.Pods {
			who := "pod " + p.Name
			for _, c := range p.Containers {
				say(l.container != nil && l.container(c), who+", container "+c.Name)
			}
		}
	}
	return errors.Join(errs...)
}

// unknownSetting tells that the manager does not know one of the settings of a growing delay.
func unknownSetting(err error) bool {
	return strings.Contains(err.Error(), "RestartSteps") || strings.Contains(err.Error(), "RestartMaxDelay")
}
