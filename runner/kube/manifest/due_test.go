// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"testing"
	"time"

	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/kube/yaml"
)

// TestLastDue: the last time of a schedule, in its zone, and no further back than asked.
func TestLastDue(t *testing.T) {
	now := time.Date(2026, 11, 29, 7, 30, 40, 0, time.UTC) // a Sunday
	const week = 7 * 24 * time.Hour
	for _, c := range []struct {
		schedule, zone, want string
		most                 time.Duration
	}{
		{"* * * * *", "UTC", "2026-11-29 07:30", week},
		{"*/1 * */1 * 1", "UTC", "2026-11-23 23:59", week},
		{"15 3 * * *", "UTC", "2026-11-29 03:15", week},
		{"45 7 * * *", "UTC", "2026-11-28 07:45", week},
		{"45 7 * * *", "UTC", "", time.Hour},
		{"0 8 * * *", "Europe/Zurich", "2026-11-29 07:00", week},
		{"0 0 27 * WED", "UTC", "2026-11-27 00:00", week},
		{"0 0 1-31 * 1", "UTC", "2026-11-29 00:00", week},
		{"0 0 13 * 0-6", "UTC", "2026-11-29 00:00", week},
		{"0 0 1 * *", "UTC", "", week},
		{"0 0 1 * *", "UTC", "2026-11-01 00:00", 5 * week},
		{"@weekly", "UTC", "2026-11-29 00:00", week},
		{"nonsense", "UTC", "", week},
		{"* * * * *", "No/Where", "", week},
	} {
		got := ""
		if at, ok := kube.LastDue(c.schedule, c.zone, now, c.most); ok {
			got = at.UTC().Format("2006-01-02 15:04")
		}
		if got != c.want {
			t.Errorf("%s in %s: %q, want %q", c.schedule, c.zone, got, c.want)
		}
	}
}

// TestRun: each run of a CronJob has names of its own, and finds its own name.
func TestRun(t *testing.T) {
	plan, list := Read([]yaml.Source{{Name: "c.yaml", Data: []byte(`apiVersion: batch/v1
kind: CronJob
metadata: {name: backup}
spec:
  schedule: "0 3 * * *"
  timeZone: Europe/Zurich
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: OnFailure
          containers:
          - {name: a, image: x, env: [{name: ME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}], volumeMounts: [{name: v, mountPath: /v}]}
          volumes: [{name: v, ephemeral: {volumeClaimTemplate: {spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}}}]
`)}}, Options{})
	if plan == nil {
		t.Fatal(list)
	}
	p := plan.Pods[0]
	name := p.Cron.RunName(time.Date(2026, 11, 29, 3, 0, 0, 0, time.UTC))
	one, err := p.Run(name)
	if err != nil || name != "backup-29932020" || p.Cron.Zone != "Europe/Zurich" {
		t.Fatalf("%s %+v, %v", name, p.Cron, err)
	}
	c := one.Containers[0]
	if one.Cron != nil || one.Name != name+"-pod" || one.Spec.Name != one.Name || one.Spec.Hostname != one.Name || one.Unit != one.Name+"-pod.service" ||
		c.Spec.Name != one.Name+"-a" || c.Unit != one.Name+"-a.service" || c.Spec.Pod != one.Name || one.Volumes[0].Claim != one.Name+"-v" {
		t.Errorf("%+v\n%+v", one, c)
	}
	if p.Name != "backup-pod" || p.Containers[0].Spec.Name != "backup-pod-a" {
		t.Errorf("the CronJob itself has become %s", p.Name)
	}
	r, err := c.Resolve(kube.Image{}, kube.Facts{Name: one.Name})
	if err != nil || r.Spec.Env["ME"] != one.Name {
		t.Errorf("%q, %v", r.Spec.Env, err)
	}
}
