// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// LastDue is the last time at or before now at which a schedule asked for a run, looking back no
// further than most. It is false if there was none. zone is a name of the time zone database, or
// empty for the machine's own. Where a clock is set back, an hour counts twice, as for Kubernetes.
func LastDue(schedule, zone string, now time.Time, most time.Duration) (time.Time, bool) {
	place := time.Local
	if zone != "" {
		var err error
		if place, err = time.LoadLocation(zone); err != nil {
			return time.Time{}, false
		}
	}
	fields, err := scheduleFields(schedule)
	if err != nil {
		return time.Time{}, false
	}
	var at [5][]bool
	var all [5]bool
	for i, u := range units() {
		if at[i], err = u.set(fields[i]); err != nil {
			return time.Time{}, false
		}
		// What counts is how it is written: 1-31 restricts, * does not.
		word, err := u.parse(fields[i])
		if err != nil {
			return time.Time{}, false
		}
		all[i] = word == "*"
	}
	begin := now.Truncate(time.Minute)
	for t := begin; now.Sub(t) <= most; t = t.Add(-time.Minute) {
		l := t.In(place)
		if !at[0][l.Minute()] || !at[1][l.Hour()] || !at[3][l.Month()] {
			continue
		}
		day, week := at[2][l.Day()], at[4][l.Weekday()]
		// Where both are restricted, one of them is enough, as in Calendar.
		if day && week || !all[2] && !all[4] && (day || week) {
			return t, true
		}
	}
	return time.Time{}, false
}

// set are the values that a field allows, by their numbers.
func (u unit) set(field string) ([]bool, error) {
	out := make([]bool, u.max+1)
	for part := range strings.SplitSeq(field, ",") {
		from, to, step, _, err := u.part(part)
		if err != nil {
			return nil, err
		}
		for i := from; i <= to; i += step {
			out[i] = true
		}
	}
	return out, nil
}

// RunName is the name of the job that a CronJob makes for a time. Source: kubernetes.io, CronJob.
func (c *Cron) RunName(at time.Time) string {
	return c.Name + "-" + strconv.FormatInt(at.Unix()/60, 10)
}

// Run is the pod of one run of a CronJob: like p, under the names of the job name.
func (p *Pod) Run(name string) (*Pod, error) {
	data, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	one := &Pod{}
	if err := json.Unmarshal(data, one); err != nil {
		return nil, fmt.Errorf("pod %s: %w", p.Name, err)
	}
	one.Cron, one.Kind, one.Object, one.Start = nil, "Job", name, true
	one.Name, one.Unit = name+"-pod", name+"-pod-pod.service"
	if one.Job != nil {
		one.Job.Name = name
	}
	one.Spec.Name = one.Name
	if one.Spec.InfraName == p.Name+"-infra" {
		one.Spec.InfraName = one.Name + "-infra"
	}
	if one.Spec.Hostname == p.Name {
		one.Spec.Hostname = one.Name
	}
	for _, c := range one.Containers {
		c.Spec.Name, c.Spec.Pod = one.Name+"-"+c.Name, one.Name
		c.Unit = c.Spec.Name + ".service"
		for k, v := range c.Spec.Labels {
			if v == p.Name {
				c.Spec.Labels[k] = one.Name
			}
		}
	}
	for _, v := range one.Volumes {
		if rest, own := strings.CutPrefix(v.Claim, p.Name+"-"); own && v.Ephemeral {
			v.Claim = one.Name + "-" + rest
		}
	}
	return one, nil
}
