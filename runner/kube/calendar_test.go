// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"os/exec"
	"strings"
	"testing"
)

func TestCalendar(t *testing.T) {
	analyze, _ := exec.LookPath("systemd-analyze")
	for schedule, want := range map[string]string{
		"* * * * *":             "*-*-* *:*:00",
		"*/15 * * * *":          "*-*-* *:00..59/15:00",
		"5/15 * * * *":          "*-*-* *:05..59/15:00",
		"0 2-4,22 * * *":        "*-*-* 02..04,22:00:00",
		"0 0 1 jan,JUL *":       "*-01,07-01 00:00:00",
		"0 0 ? * 0":             "Sun *-*-* 00:00:00",
		"0 0 */2 * 1-5/2":       "*-*-01..31/2 00:00:00|Mon,Wed,Fri *-*-* 00:00:00",
		"0 0 13 * FRI":          "*-*-13 00:00:00|Fri *-*-* 00:00:00",
		" 0  0\t1 * * ":         "*-*-01 00:00:00",
		"@hourly":               "*-*-* *:00:00",
		"@weekly":               "Sun *-*-* 00:00:00",
		"@yearly":               "*-01-01 00:00:00",
		"":                      "the schedule has 0 fields",
		"* * * *":               "the schedule has 4 fields",
		"@reboot":               "@reboot is not known",
		"60 * * * *":            `minute "60": "60" is not from 0 to 59`,
		"* * 0 * *":             "day of the month",
		"* * * * 7":             "day of the week",
		"* * * MOO *":           "month",
		"*/0 * * * *":           "is no step",
		"9-5 * * * *":           "runs backwards",
		"CRON_TZ=UTC * * * * *": "a time zone inside the schedule is refused",
	} {
		got, err := Calendar(schedule, "")
		if err != nil {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %v", schedule, err)
			}
			continue
		}
		if strings.Join(got, "|") != want {
			t.Errorf("%q is %q, want %q", schedule, got, want)
		}
		for _, line := range got {
			if analyze == "" {
				continue
			}
			if out, err := exec.Command(analyze, "calendar", line+" Europe/Zurich").CombinedOutput(); err != nil {
				t.Errorf("systemd does not know %q: %s", line, out)
			}
		}
	}
}
