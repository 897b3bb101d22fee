// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"regexp"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/podunit/podunit/runner/kube"
)

// timeZone is what a name of the time zone database looks like.
var timeZone = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$`)

// defaultBackoffLimit is how often a job may fail if it does not say.
const defaultBackoffLimit = 6

// job reads what ends a job's pod.
func (p *planner) job(d *draft, name string, in *batchv1.JobSpec, at place) {
	j := &kube.Job{Name: name, BackoffLimit: defaultBackoffLimit}
	d.Job = j
	policy := d.spec.RestartPolicy
	for _, p := range []corev1.RestartPolicy{corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever} {
		if strings.EqualFold(string(p), string(policy)) {
			policy = p
		}
	}
	if policy != corev1.RestartPolicyOnFailure && policy != corev1.RestartPolicyNever {
		d.at.in("restartPolicy").note("kube-restart", "write restartPolicy: Never or OnFailure", "a job does not go with the policy Always, OnFailure is taken")
		spec := d.spec.DeepCopy()
		spec.RestartPolicy = corev1.RestartPolicyOnFailure
		d.spec = spec
	}
	if in.BackoffLimit != nil {
		if j.BackoffLimit = int(*in.BackoffLimit); j.BackoffLimit < 0 {
			at.in("backoffLimit").fault("kube-value", "", "%d is less than 0", j.BackoffLimit)
		}
	}
	j.Deadline = seconds(at.in("activeDeadlineSeconds"), in.ActiveDeadlineSeconds, 0, 1)
	if in.TTLSecondsAfterFinished != nil {
		ttl := int64(*in.TTLSecondsAfterFinished)
		after := seconds(at.in("ttlSecondsAfterFinished"), &ttl, 0, 0)
		j.TTL = &after
	}
	for _, f := range []struct {
		field string
		n     *int32
	}{{"completions", in.Completions}, {"parallelism", in.Parallelism}} {
		switch {
		case f.n == nil || *f.n == 1:
		case *f.n < 0:
			at.in(f.field).fault("kube-value", "", "%d is less than 0", *f.n)
		case *f.n == 0:
			d.Start = false
		default:
			at.in(f.field).note("kube-job", "", "%d runs are asked for; one is made", *f.n)
		}
	}
	if isTrue(in.Suspend) {
		d.Start = false
	}
	if in.CompletionMode != nil && at.in("completionMode").oneOf(string(*in.CompletionMode), "NonIndexed", "Indexed") && *in.CompletionMode == batchv1.IndexedCompletion {
		at.in("completionMode").fault("kube-refused", "write a Job for each index", "a job runs once here")
	}
	if in.PodFailurePolicy == nil {
		return
	}
	at = at.in("podFailurePolicy")
	if policy != corev1.RestartPolicyNever {
		at.fault("kube-job", "write restartPolicy: Never", "it needs the policy Never")
	}
	for i, rule := range in.PodFailurePolicy.Rules {
		one := at.in("rules", i)
		if one.in("action").oneOf(string(rule.Action), "FailJob", "Ignore", "Count", "FailIndex") && rule.Action == batchv1.PodFailurePolicyActionFailIndex {
			one.in("action").fault("kube-refused", "write FailJob", "there are no indexed jobs here")
		}
		if rule.OnExitCodes == nil {
			continue // a rule on conditions, which only a cluster sets
		}
		codes := rule.OnExitCodes
		one.in("onExitCodes", "operator").oneOf(string(codes.Operator), "In", "NotIn")
		if len(codes.Values) == 0 {
			one.in("onExitCodes", "values").fault("kube-job", "", "there are no values")
		}
		r := kube.FailureRule{Action: string(rule.Action), Not: codes.Operator == batchv1.PodFailurePolicyOnExitCodesOpNotIn, Codes: codes.Values}
		if codes.ContainerName != nil {
			r.Container = *codes.ContainerName
		}
		j.Rules = append(j.Rules, r)
	}
}

// cron reads when a job is to run.
func (p *planner) cron(d *draft, v *batchv1.CronJob) {
	at := d.o.at("spec")
	c := &kube.Cron{Name: v.Name, Schedule: v.Spec.Schedule, Concurrency: "Allow", Suspended: isTrue(v.Spec.Suspend)}
	d.Cron = c
	zone := ""
	if v.Spec.TimeZone != nil {
		zone = *v.Spec.TimeZone
		if !timeZone.MatchString(zone) {
			at.in("timeZone").fault("kube-schedule", "such as Europe/Zurich", "%q is no name of the time zone database", zone)
			zone = ""
		} else if p.NoZone != nil && p.NoZone(zone) {
			at.in("timeZone").fault("kube-schedule", "such as Europe/Zurich; timedatectl list-timezones lists them", "this machine knows no time zone %q", zone)
			zone = ""
		}
	}
	c.Zone = zone
	calendar, err := kube.Calendar(v.Spec.Schedule, zone)
	if err != nil {
		at.in("schedule").fault("kube-schedule", "five fields: minute, hour, day of the month, month, day of the week; or @hourly, @daily, @weekly, @monthly, @yearly", "%v", err)
	}
	c.Calendar = calendar
	if at.in("concurrencyPolicy").oneOf(string(v.Spec.ConcurrencyPolicy), "Allow", "Forbid", "Replace") && v.Spec.ConcurrencyPolicy != "" {
		c.Concurrency = string(v.Spec.ConcurrencyPolicy)
	}
	if v.Spec.StartingDeadlineSeconds != nil {
		late := seconds(at.in("startingDeadlineSeconds"), v.Spec.StartingDeadlineSeconds, time.Second, 0)
		c.Late = &late
	}
}
