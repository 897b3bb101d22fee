// SPDX-License-Identifier: Apache-2.0

package unit

import (
	"context"
	"math"
	"reflect"
	"testing"
)

// TestStartSlice: a slice is started with its settings; one that is up gets them.
func TestStartSlice(t *testing.T) {
	s := Slice{Description: "Play tv", Settings: map[string]any{"MemoryMax": uint64(1 << 20)}}
	f := &fake{result: "done", unit: map[string]any{"LoadState": "not-found", "ActiveState": "inactive"}}
	if err := (&Manager{conn: f}).StartSlice(context.Background(), "app-kube-tv.slice", s); err != nil {
		t.Fatal(err)
	}
	if len(f.asked) != 1 || f.asked[0] != "transient app-kube-tv.slice fail" || len(f.props) != 2 || f.props[1].Name != "MemoryMax" {
		t.Errorf("%q %v", f.asked, f.props)
	}
	f = &fake{unit: map[string]any{"LoadState": "loaded", "ActiveState": "active"}}
	if err := (&Manager{conn: f}).StartSlice(context.Background(), "app-kube-tv.slice", s); err != nil {
		t.Fatal(err)
	}
	if len(f.asked) != 1 || f.asked[0] != "set app-kube-tv.slice true" || len(f.props) != 1 {
		t.Errorf("%q %v", f.asked, f.props)
	}
}

// TestSettingsOfDevices: a list takes the place of the one that was there.
func TestSettingsOfDevices(t *testing.T) {
	f := &fake{unit: map[string]any{"LoadState": "loaded", "ActiveState": "active"}}
	s := Slice{Settings: map[string]any{"IOReadBandwidthMax": []OfDevice{{"/dev/sda", 5}}}}
	if err := (&Manager{conn: f}).StartSlice(context.Background(), "app-pods-tv.slice", s); err != nil {
		t.Fatal(err)
	}
	if len(f.props) != 2 || len(f.props[0].Value.Value().([]OfDevice)) != 0 || len(f.props[1].Value.Value().([]OfDevice)) != 1 || f.props[1].Value.Signature().String() != "a(st)" {
		t.Errorf("%v", f.props)
	}
}

// TestLimits: what a unit file sets counts, and what it leaves open is no limit, also for a slice
// that had one.
func TestLimits(t *testing.T) {
	f := &fake{service: map[string]any{"MemoryMax": uint64(1 << 20), "MemoryHigh": uint64(math.MaxUint64), "CPUWeight": uint64(50), "TasksMax": uint64(7)}}
	got, err := (&Manager{conn: f}).Limits(context.Background(), "tv.service")
	if want := map[string]any{"MemoryMax": uint64(1 << 20), "MemoryHigh": uint64(math.MaxUint64), "CPUWeight": uint64(50)}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v", got, err)
	}
}
