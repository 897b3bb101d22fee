// SPDX-License-Identifier: Apache-2.0

package view

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/podunit/podunit/runner/service"
	"github.com/podunit/podunit/runner/volume"
	"github.com/podunit/podunit/runner/volume/claim"
)

// VolumeRow is a volume as podman's verbs show it.
type VolumeRow struct {
	Name       string
	Driver     string
	Mountpoint string
	CreatedAt  time.Time
	Labels     Labels
	Scope      string
	Options    Labels
	UID        int  `json:",omitempty"`
	GID        int  `json:",omitempty"`
	Anonymous  bool `json:",omitempty"`
	MountCount int
	// Units name the volume on their command lines, running or not.
	Units []string `json:",omitempty"`
	// NeedsCopyUp is true for a volume that a container will still fill from its image.
	NeedsCopyUp bool `json:",omitempty"`
	// Damaged is why the volume's record cannot be read.
	Damaged error `json:"-"`
}

// Labels are drawn in a table as KEY=VALUE,...
type Labels map[string]string

func (l Labels) String() string {
	var all []string
	for k, v := range l {
		all = append(all, k+"="+v)
	}
	slices.Sort(all)
	return strings.Join(all, ",")
}

// VolumeNamed finds the volume of a name.
func VolumeNamed(rows []VolumeRow, name string) (VolumeRow, error) {
	i := slices.IndexFunc(rows, func(r VolumeRow) bool { return r.Name == name })
	if i < 0 {
		return VolumeRow{}, fmt.Errorf("%s: %w", name, volume.ErrNotFound)
	}
	return rows[i], nil
}

// Volumes describes the volumes that pass all filters.
func Volumes(x *service.Engine, filters []string) ([]VolumeRow, error) {
	units, err := x.VolumeClaims()
	if err != nil {
		return nil, err
	}
	return VolumesNamedBy(x, units, filters)
}

// VolumesNamedBy is Volumes for who has read already which units name volumes.
func VolumesNamedBy(x *service.Engine, units claim.Units, filters []string) ([]VolumeRow, error) {
	match, err := volumeFilters.Read(filters)
	if err != nil {
		return nil, err
	}
	all, err := volume.New(x.Containers.Store.GraphRoot()).List()
	if err != nil {
		return nil, err
	}
	users, err := x.VolumeUsers()
	if err != nil {
		return nil, err
	}
	rows := make([]VolumeRow, 0, len(all))
	for _, one := range all {
		r := VolumeRow{
			Name: one.Name, Driver: one.Driver(), Scope: "local", Mountpoint: one.Dir, CreatedAt: one.CreatedAt,
			Labels: Labels(one.Labels), Options: Labels(one.Options), Anonymous: one.Anonymous,
			Units: units.Of(one.Name), Damaged: one.Damaged,
		}
		if r.Labels == nil {
			r.Labels = Labels{}
		}
		if r.Options == nil {
			r.Options = Labels{}
		}
		for _, u := range users {
			if slices.Contains(u.Volumes, one.Name) {
				r.MountCount++
			}
		}
		if uid, gid, empty, err := owner(one.Dir); err == nil {
			r.UID, r.GID, r.NeedsCopyUp = uid, gid, empty && !one.NoCopy()
		}
		if match(r) {
			rows = append(rows, r)
		}
	}
	return rows, nil
}

// volumeFilters are the keys of podunit volume ls --filter. Source: podman-volume-ls(1).
var volumeFilters = Filters[VolumeRow]{
	"name":      Any(func(r VolumeRow, v string) bool { return matches(r.Name, v) }),
	"driver":    Any(func(r VolumeRow, v string) bool { return r.Driver == v }),
	"scope":     Any(func(r VolumeRow, v string) bool { return r.Scope == v }),
	"label":     All(func(r VolumeRow, v string) bool { return hasLabel(r.Labels, v) }),
	"label!":    All(func(r VolumeRow, v string) bool { return !hasLabel(r.Labels, v) }),
	"dangling":  truth(func(r VolumeRow) bool { return r.MountCount+len(r.Units) == 0 }),
	"anonymous": truth(func(r VolumeRow) bool { return r.Anonymous }),
	"until":     made(volumeMade, time.Time.Before),
	"since":     made(volumeMade, func(a, b time.Time) bool { return !a.Before(b) }),
	"after":     made(volumeMade, func(a, b time.Time) bool { return !a.Before(b) }),
}

// truth is a key whose value is true or false.
func truth[T any](is func(T) bool) Filter[T] {
	return AnyOf(func(value string) (func(T) bool, error) {
		want, err := strconv.ParseBool(value)
		if err != nil {
			return nil, errors.New("want true or false")
		}
		return func(r T) bool { return is(r) == want }, nil
	})
}

func volumeMade(r VolumeRow) time.Time { return r.CreatedAt }

// made is a key that compares when something was made with a time.
func made[T any](when func(T) time.Time, fits func(made, bound time.Time) bool) Filter[T] {
	return AnyOf(func(value string) (func(T) bool, error) {
		bound, err := pointInTime(value)
		return func(r T) bool { return fits(when(r), bound) }, err
	})
}

// pointInTime reads a time, or a duration before now.
func pointInTime(text string) (time.Time, error) {
	if d, err := time.ParseDuration(text); err == nil {
		return time.Now().Add(-d), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t, nil
		}
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return time.Unix(n, 0), nil
	}
	return time.Time{}, errors.New("want a duration like 24h, a time like 2026-01-31T12:00:00, or seconds since 1970")
}

// owner gives owner and group of a directory, and whether it is empty.
func owner(dir string) (uid, gid int, empty bool, err error) {
	st, err := os.Stat(dir)
	if err != nil {
		return 0, 0, false, err
	}
	f, err := os.Open(dir)
	if err != nil {
		return 0, 0, false, err
	}
	defer f.Close()
	_, err = f.Readdirnames(1)
	sys := st.Sys().(*syscall.Stat_t)
	return int(sys.Uid), int(sys.Gid), errors.Is(err, io.EOF), nil
}
