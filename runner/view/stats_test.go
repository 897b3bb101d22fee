// SPDX-License-Identifier: Apache-2.0

package view

import (
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/runner/cgroup"
	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/format"
)

func TestStatRow(t *testing.T) {
	begun := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	id := strings.Repeat("a", 64)
	first := Sample{
		record: container.Record{ID: id, Name: "web"}, started: begun, at: begun.Add(10 * time.Second), machine: 8e9,
		used:     cgroup.Usage{CPU: time.Second, Memory: 1_200_000, MemoryLimit: 4e9, PIDs: 3, Written: 2_000},
		received: 1_340, sent: 816,
	}
	want := Stat{
		ID: id[:12], CID: id[:12], ContainerID: id, Name: "web", UpTime: "1s", CPUPerc: "10.00%", AVGCPU: "10.00%", MemUsage: "1.2MB / 4GB", MemPerc: "0.03%",
		NetIO: "1.34kB / 816B", BlockIO: "0B / 2kB", PIDS: "3", MemUsageBytes: "1.144MiB / 3.725GiB",
	}
	if got := first.Row(Sample{}, true); got != want {
		t.Errorf("%+v\nwant %+v", got, want)
	}
	second := first
	second.at, second.used.CPU = first.at.Add(2*time.Second), 2*time.Second
	if got := second.Row(first, false); got.CPUPerc != "50.00%" || got.AVGCPU != "16.67%" || got.ID != id {
		t.Errorf("%+v", got)
	}
	restarted := second
	restarted.started = first.at
	if got := restarted.Row(first, false); got.CPUPerc != "100.00%" {
		t.Errorf("the share of a second start is %s", got.CPUPerc)
	}
	if got := (Sample{record: first.record}).Row(Sample{}, true); got.MemUsage != "-- / --" || got.PIDS != "--" || got.NetIO != "-- / --" {
		t.Errorf("without controllers: %+v", got)
	}
}

// TestIdle: a container that does not run has a row of stats --all, with nothing in it, and no
// pressure.
func TestIdle(t *testing.T) {
	id := strings.Repeat("a", 64)
	var b strings.Builder
	template := "{{.ID}} {{.CID}} {{.Name}} {{.CPUPerc}} {{.MemUsage}} {{.PIDS}} {{.CPUPressure}} {{.MemPressure}} {{.IOPressure}}"
	err := format.Rows(&b, format.Table{Format: template}, []Stat{Idle(container.Record{ID: id, Name: "web"}, true)})
	if want := id[:12] + " " + id[:12] + " web 0.00% -- / -- 0 -- -- --\n"; err != nil || b.String() != want {
		t.Errorf("%q, %v\nwant %q", b.String(), err, want)
	}
}

func TestTraffic(t *testing.T) {
	in, out := traffic([]byte("Inter-|   Receive                                                |  Transmit\n" +
		" face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n" +
		"    lo: 999 1 0 0 0 0 0 0 999 1 0 0 0 0 0 0\n" +
		"  eth0:1340 1 0 0 0 0 0 0 816 1 0 0 0 0 0 0\n  eth1: 10 1 0 0 0 0 0 0 20 1 0 0 0 0 0 0\n"))
	if in != 1350 || out != 836 {
		t.Errorf("%d received, %d sent", in, out)
	}
}
