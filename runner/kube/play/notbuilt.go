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

// notBuilt refuses what a plan asks for and is not played yet, all at once.
func notBuilt(plan *kube.Plan) error {
	var errs []error
	later := func(wrong bool, issue, what string) {
		if wrong {
			errs = append(errs, &spec.NotBuilt{What: what, Issue: issue})
		}
	}
	for _, p := range plan.Pods {
		who := "pod " + p.Name + ": "
		later(p.Cron != nil, IssueKube, who+"a CronJob")
		later(p.UserNSAuto, IssueKube, who+"hostUsers: false")
		later(p.Network.IP != "", spec.IssueNetworks, who+"--ip")
		later(p.Network.MAC != "", spec.IssueNetworks, who+"--mac-address")
		later(p.Network.FQDN != "", spec.IssueNetworks, who+"subdomain")
		later(p.Limits.MemoryMax > 0 || p.Limits.CPUQuota > 0 || len(p.Limits.HugePages) > 0, IssueKube, who+"resources of the pod as a whole")
		if j := p.Job; j != nil {
			later(len(j.Rules) > 0, IssueKube, who+"podFailurePolicy")
			later(j.TTL != nil, IssueKube, who+"ttlSecondsAfterFinished")
		}
		for _, v := range p.Volumes {
			at := who + "volume " + v.Name + ": "
			later(v.Kind == kube.VolumeImage, IssueKube, at+"an image")
			later(v.Kind == kube.VolumeNFS, IssueKube, at+"nfs")
			for _, f := range v.Files {
				later(f.Secret != nil && f.Secret.Stored, spec.IssueSecrets, at+"secret "+refName(f.Secret)+", which is not among the documents")
			}
		}
		for _, c := range p.Containers {
			at := who + "container " + c.Name + ": "
			later(len(c.CDI) > 0, IssueKube, at+"devices of the container device interface")
			later(len(c.Resources.HugePages) > 0, IssueKube, at+"hugepages")
			later(c.GroupsStrict, IssueKube, at+"supplementalGroupsPolicy: Strict")
			later(len(c.VolumesFrom) > 0 || len(c.ImageVolumesFrom) > 0, IssueKube, at+"volumes of another container or image")
			later(len(c.Restart.PodOn) > 0, IssueKube, at+"the action RestartAllContainers")
			for _, v := range c.Process.Env {
				later(v.Secret != nil && v.Secret.Stored, spec.IssueSecrets, at+"secret "+refName(v.Secret)+", which is not among the documents")
			}
			for _, m := range c.Mounts {
				later(m.RecursiveReadOnly == "Enabled", IssueKube, at+"recursiveReadOnly")
			}
		}
	}
	for _, c := range plan.Claims {
		later(c.Driver != "" && c.Driver != "local", IssueKube, "claim "+c.Name+": driver "+c.Driver)
		later(c.Import != "", IssueKube, "claim "+c.Name+": an archive to unpack")
		for _, o := range []string{"device", "type", "o", "image"} {
			later(c.Options[o] != "", IssueKube, "claim "+c.Name+": the option "+o)
		}
	}
	return errors.Join(errs...)
}

func refName(r *kube.KeyRef) string {
	if r == nil {
		return ""
	}
	return r.Secret
}

// unknownSetting tells that the manager does not know one of the settings of a growing delay.
func unknownSetting(err error) bool {
	return strings.Contains(err.Error(), "RestartSteps") || strings.Contains(err.Error(), "RestartMaxDelay")
}
