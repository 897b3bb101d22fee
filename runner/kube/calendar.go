// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"fmt"
	"strconv"
	"strings"
)

// unit is one field of a schedule.
type unit struct {
	what       string
	first, max int
	names      []string // of first, first+1 ...
}

func units() [5]unit {
	return [5]unit{
		{"minute", 0, 59, nil}, {"hour", 0, 23, nil}, {"day of the month", 1, 31, nil},
		{"month", 1, 12, []string{"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"}},
		{"day of the week", 0, 6, []string{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}},
	}
}

// Calendar turns the schedule of a CronJob into OnCalendar= lines. Where both days are restricted,
// cron joins them by "or" and systemd by "and", so that there are two lines then. zone is a name
// of the time zone database, or empty for the machine's own. Source: kubernetes.io, CronJob;
// systemd.time(7).
func Calendar(schedule, zone string) ([]string, error) {
	fields, err := scheduleFields(schedule)
	if err != nil {
		return nil, err
	}
	var parsed [5]string
	for i, u := range units() {
		s, err := u.parse(fields[i])
		if err != nil {
			return nil, fmt.Errorf("%s %q: %w", u.what, fields[i], err)
		}
		parsed[i] = s
	}
	minute, hour, day, month, week := parsed[0], parsed[1], parsed[2], parsed[3], parsed[4]
	line := func(week, day string) string {
		s := fmt.Sprintf("*-%s-%s %s:%s:00", month, day, hour, minute)
		if week != "*" {
			s = week + " " + s
		}
		if zone != "" {
			s += " " + zone
		}
		return s
	}
	// In Kubernetes a star with a step is a restriction; in the cron of old it was none.
	if day != "*" && week != "*" {
		return []string{line("*", day), line(week, "*")}, nil
	}
	return []string{line(week, day)}, nil
}

// scheduleFields are the five fields of a schedule, or of the word that stands for one.
func scheduleFields(schedule string) ([]string, error) {
	schedule = strings.TrimSpace(schedule)
	if strings.HasPrefix(schedule, "TZ=") || strings.HasPrefix(schedule, "CRON_TZ=") {
		return nil, fmt.Errorf("a time zone inside the schedule is refused; write timeZone: beside it")
	}
	if word, ok := strings.CutPrefix(schedule, "@"); ok {
		plain, known := map[string]string{
			"yearly": "0 0 1 1 *", "annually": "0 0 1 1 *", "monthly": "0 0 1 * *", "weekly": "0 0 * * 0",
			"daily": "0 0 * * *", "midnight": "0 0 * * *", "hourly": "0 * * * *",
		}[word]
		if !known {
			return nil, fmt.Errorf("@%s is not known", word)
		}
		schedule = plain
	}
	fields := strings.Fields(schedule)
	if len(fields) != 5 {
		return nil, fmt.Errorf("the schedule has %d fields, and needs 5", len(fields))
	}
	return fields, nil
}

// parse turns a field into systemd's form: values and ranges, joined by commas. Days of the week
// become names.
func (u unit) parse(field string) (string, error) {
	var out []string
	for part := range strings.SplitSeq(field, ",") {
		from, to, step, all, err := u.part(part)
		if err != nil {
			return "", err
		}
		if all && step == 1 {
			return "*", nil
		}
		out = append(out, u.span(from, to, step)...)
	}
	return strings.Join(out, ","), nil
}

// part reads a value, a range or a star, with or without a step. all says that it was a star.
func (u unit) part(part string) (from, to, step int, all bool, err error) {
	span, stepText, stepped := strings.Cut(part, "/")
	step = 1
	if stepped {
		if step, err = strconv.Atoi(stepText); err != nil || step < 1 {
			return 0, 0, 0, false, fmt.Errorf("%q is no step", stepText)
		}
	}
	from, to = u.first, u.max
	if all = span == "*" || span == "?"; all {
		return from, to, step, all, nil
	}
	a, b, ranged := strings.Cut(span, "-")
	if from, err = u.number(a); err != nil {
		return 0, 0, 0, false, err
	}
	switch {
	case ranged:
		if to, err = u.number(b); err != nil {
			return 0, 0, 0, false, err
		}
	case !stepped:
		to = from
	}
	if to < from {
		return 0, 0, 0, false, fmt.Errorf("the range %s runs backwards", span)
	}
	return from, to, step, all, nil
}

func (u unit) span(from, to, step int) []string {
	if u.first == 0 && u.max == 6 { // systemd has no steps for days of the week
		var days []string
		for i := from; i <= to; i += step {
			name := u.names[i]
			days = append(days, name[:1]+strings.ToLower(name[1:]))
		}
		return days
	}
	two := func(n int) string { return fmt.Sprintf("%02d", n) }
	switch {
	case from == to:
		return []string{two(from)}
	case step == 1:
		return []string{two(from) + ".." + two(to)}
	}
	return []string{fmt.Sprintf("%s..%s/%d", two(from), two(to), step)}
}

func (u unit) number(s string) (int, error) {
	for i, name := range u.names {
		if strings.EqualFold(s, name) {
			return u.first + i, nil
		}
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < u.first || n > u.max {
		return 0, fmt.Errorf("%q is not from %d to %d", s, u.first, u.max)
	}
	return n, nil
}
