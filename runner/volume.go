// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/format"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/spec"
	"github.com/podunit/podunit/runner/store"
	"github.com/podunit/podunit/runner/volume"
	"github.com/spf13/cobra"
)

// Exit statuses of volume rm and volume exists. Source: podman-volume-rm(1).
const (
	exitVolumeUnknown = 1
	exitVolumeInUse   = 2
)

// volumeRow is a volume as podman's verbs show it.
type volumeRow struct {
	Name       string
	Driver     string
	Mountpoint string
	CreatedAt  time.Time
	Labels     labels
	Scope      string
	Options    labels
	UID        int  `json:",omitempty"`
	GID        int  `json:",omitempty"`
	Anonymous  bool `json:",omitempty"`
	MountCount int
	// NeedsCopyUp is true for a volume that a container will still fill from its image.
	NeedsCopyUp bool `json:",omitempty"`
}

// labels are drawn in a table as KEY=VALUE,...
type labels map[string]string

func (l labels) String() string {
	var all []string
	for k, v := range l {
		all = append(all, k+"="+v)
	}
	slices.Sort(all)
	return strings.Join(all, ",")
}

// volumeUser is a container and the volumes it mounts.
type volumeUser struct {
	id, name string
	volumes  []string
}

func newVolumeCommand(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "volume",
		Short: "Manage named volumes",
		Args:  wantVerb,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		newVolumeCreateCommand(e),
		newVolumeExistsCommand(e),
		newVolumeInspectCommand(e),
		newVolumeListCommand(e),
		newVolumePruneCommand(e),
		newVolumeRmCommand(e),
	)
	return cmd
}

// openVolumes opens the volumes of the storage, which is not opened for that.
func (e *env) openVolumes() (*volume.Volumes, error) {
	o, err := store.Locate(store.Config{RunDir: e.user.RunDir, Rootless: e.user.Rootless()})
	if err != nil {
		return nil, err
	}
	return volume.New(o.GraphRoot), nil
}

func newVolumeCreateCommand(e *env) *cobra.Command {
	var (
		driver            string
		ignore            bool
		given, options    []string
		uid, gid          int
		labelled, drivers = map[string]string{}, map[string]string{}
	)
	cmd := &cobra.Command{
		Use:   "create [flags] [NAME]",
		Short: "Create a volume",
		Long: `Create a volume and print its name, one of 64 random digits if none is given.

Options of the driver local: o=uid=UID,gid=GID,nocopy or uid=UID, gid=GID, nocopy, copy.`,
		Args: wantArgs(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if driver != "local" {
				return &spec.NotBuilt{What: "volume driver " + driver, Issue: spec.IssueVolumes}
			}
			if err := errors.Join(assign(labelled, given, "--label"), assign(drivers, options, "--opt")); err != nil {
				return err
			}
			o := volume.Options{Labels: labelled, Options: drivers, UID: uid, GID: gid, Anonymous: len(args) == 0}
			if err := ownerOptions(&o); err != nil {
				return err
			}
			name := container.NewID()
			if len(args) > 0 {
				name = args[0]
			}
			v, err := e.openVolumes()
			if err != nil {
				return err
			}
			made, err := v.Create(name, o)
			if errors.Is(err, volume.ErrExists) && ignore {
				made, err = v.Get(name)
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(e.stdout, made.Name)
			return err
		},
	}
	f := cmd.Flags()
	f.StringVarP(&driver, "driver", "d", "local", "the only one is local")
	f.IntVar(&gid, "gid", 0, "group of the volume, as containers count")
	f.BoolVar(&ignore, "ignore", false, "a volume that is there already is no error")
	f.StringArrayVarP(&given, "label", "l", nil, "`KEY[=VALUE]` to find it by")
	f.StringArrayVarP(&options, "opt", "o", nil, "`KEY[=VALUE]` for the driver")
	f.IntVar(&uid, "uid", 0, "owner of the volume, as containers count")
	return cmd
}

func assign(to map[string]string, given []string, flag string) error {
	for _, g := range given {
		k, v, _ := strings.Cut(g, "=")
		if k == "" {
			return fmt.Errorf("%s %q: want KEY[=VALUE]", flag, g)
		}
		to[k] = v
	}
	return nil
}

// ownerOptions reads the options of the driver local. Those that mount something are
// another issue's.
func ownerOptions(o *volume.Options) error {
	words := make(map[string]string)
	for k, v := range o.Options {
		if k != "o" {
			words[k] = v
			continue
		}
		for w := range strings.SplitSeq(v, ",") {
			if w == "" {
				continue
			}
			k, v, _ := strings.Cut(w, "=")
			words[k] = v
		}
	}
	for k, v := range words {
		var err error
		switch k {
		case "uid":
			o.UID, err = strconv.Atoi(v)
		case "gid":
			o.GID, err = strconv.Atoi(v)
		case "copy", "nocopy":
		default:
			err = &spec.NotBuilt{What: "volume option " + k, Issue: spec.IssueVolumes}
		}
		if err != nil {
			return fmt.Errorf("--opt %s=%s: %w", k, v, err)
		}
	}
	return nil
}

func newVolumeListCommand(e *env) *cobra.Command {
	var (
		out              string
		quiet, noHeading bool
		filters          []string
	)
	cmd := &cobra.Command{
		Use:     "ls [flags]",
		Aliases: []string{"list"},
		Short:   "List volumes",
		Long:    "List volumes.\n\nFilters: name, driver, scope=TEXT; label=KEY[=VALUE]; dangling, anonymous=BOOL; until, after=TIME.\nFields: " + strings.Join(format.Fields[volumeRow](), ", ") + ".",
		Args:    wantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			rows, err := e.volumeRows(cmd.Context(), filters)
			if err != nil {
				return err
			}
			switch {
			case quiet:
				for _, r := range rows {
					fmt.Fprintln(e.stdout, r.Name)
				}
				return nil
			case format.IsJSON(out):
				return format.JSON(e.stdout, rows)
			}
			return format.Rows(e.stdout, format.Table{
				Format: out, Default: "{{.Driver}}\t{{.Name}}", NoHeading: noHeading,
				Headings: map[string]string{"Name": "VOLUME NAME"},
			}, rows)
		},
	}
	f := cmd.Flags()
	f.StringArrayVarP(&filters, "filter", "f", nil, "only volumes that match `KEY=VALUE`")
	f.StringVar(&out, "format", "", "Go `TEMPLATE`, table TEMPLATE, or json")
	f.BoolVarP(&noHeading, "noheading", "n", false, "no line of headings")
	f.BoolVarP(&quiet, "quiet", "q", false, "only names")
	completeFormat[volumeRow](cmd)
	return cmd
}

func newVolumeInspectCommand(e *env) *cobra.Command {
	var (
		out string
		all bool
	)
	cmd := &cobra.Command{
		Use:               "inspect [flags] VOLUME...",
		Short:             "Show all there is to know of volumes",
		ValidArgsFunction: completeVolumes(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			if all == (len(args) > 0) {
				return errors.New("volume inspect wants volumes, or --all")
			}
			rows, err := e.volumeRows(cmd.Context(), nil)
			if err != nil {
				return err
			}
			if all {
				return format.Each(e.stdout, out, rows)
			}
			var chosen []volumeRow
			var faults []error
			for _, name := range args {
				row, err := volumeNamed(rows, name)
				if err != nil {
					faults = append(faults, err)
					continue
				}
				chosen = append(chosen, row)
			}
			if err := format.Each(e.stdout, out, chosen); err != nil {
				return err
			}
			return errors.Join(faults...)
		},
	}
	cmd.Flags().BoolVarP(&all, "all", "a", false, "all volumes")
	cmd.Flags().StringVarP(&out, "format", "f", "", "Go `TEMPLATE`, or json")
	completeFormat[volumeRow](cmd)
	return cmd
}

func volumeNamed(rows []volumeRow, name string) (volumeRow, error) {
	i := slices.IndexFunc(rows, func(r volumeRow) bool { return r.Name == name })
	if i < 0 {
		return volumeRow{}, fmt.Errorf("%s: %w", name, volume.ErrNotFound)
	}
	return rows[i], nil
}

func newVolumeExistsCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:               "exists VOLUME",
		Short:             "Tell by the exit status whether a volume exists",
		Long:              "Exit status: 0 it is there, 1 it isn't, 125 an error.",
		Args:              wantArgs(1, 1),
		ValidArgsFunction: completeVolumes(e),
		RunE: func(_ *cobra.Command, args []string) error {
			v, err := e.openVolumes()
			if err != nil {
				return err
			}
			_, err = v.Get(args[0])
			if errors.Is(err, volume.ErrNotFound) {
				return exitStatus(exitVolumeUnknown)
			}
			return err
		},
	}
}

func newVolumeRmCommand(e *env) *cobra.Command {
	var all, force bool
	cmd := &cobra.Command{
		Use:     "rm [flags] VOLUME...",
		Aliases: []string{"remove"},
		Short:   "Remove volumes and what is in them",
		Long: `Remove volumes. One that a container mounts is not removed, without --force.

Exit status: 0 done, 1 a volume isn't there, 2 a volume is in use, 125 another error.`,
		ValidArgsFunction: completeVolumes(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			if all == (len(args) > 0) {
				return errors.New("volume rm wants volumes, or --all")
			}
			v, err := e.openVolumes()
			if err != nil {
				return err
			}
			if all {
				list, err := v.List()
				if err != nil {
					return err
				}
				for _, one := range list {
					if !one.Foreign {
						args = append(args, one.Name)
					}
				}
			}
			users, err := e.volumeUsers(cmd.Context())
			if err != nil {
				return err
			}
			var faults []error
			for _, name := range args {
				if err := e.removeVolume(cmd.Context(), v, name, users, force); err != nil {
					faults = append(faults, err)
					continue
				}
				fmt.Fprintln(e.stdout, name)
			}
			return errors.Join(faults...)
		},
	}
	cmd.Flags().BoolVarP(&all, "all", "a", false, "all volumes of podunit")
	cmd.Flags().BoolVarP(&force, "force", "f", false, "stop and remove containers that mount it; a volume that isn't there is no error")
	return cmd
}

func (e *env) removeVolume(ctx context.Context, v *volume.Volumes, name string, users []volumeUser, force bool) error {
	got, err := v.Get(name)
	if errors.Is(err, volume.ErrNotFound) {
		if force {
			return nil
		}
		return withStatus(err, exitVolumeUnknown)
	}
	if err != nil {
		return err
	}
	if got.Foreign && !force {
		return hint.With(fmt.Errorf("volume %s was made by another tool, whose containers may use it", name), "podman volume rm %s; --force removes it nonetheless", name)
	}
	for _, u := range users {
		if !slices.Contains(u.volumes, name) {
			continue
		}
		if !force {
			return withStatus(hint.With(fmt.Errorf("volume %s is in use by container %s", name, u.name), "podunit rm -f %s, or --force, which does that", u.name), exitVolumeInUse)
		}
		if err := e.removeContainer(ctx, u.id); err != nil {
			return fmt.Errorf("container %s: %w", u.name, err)
		}
	}
	return v.Remove(name)
}

func newVolumePruneCommand(e *env) *cobra.Command {
	var (
		force   bool
		filters []string
	)
	cmd := &cobra.Command{
		Use:   "prune [flags]",
		Short: "Remove volumes that no container mounts",
		Long:  "Remove volumes that no container mounts, and print their names.\n\nFilters: those of podunit volume ls.",
		Args:  wantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !force {
				yes, err := e.confirm("WARNING! This removes all volumes that no container mounts, and what is in them.")
				if err != nil || !yes {
					return err
				}
			}
			rows, err := e.volumeRows(cmd.Context(), append(filters, "dangling=true"))
			if err != nil {
				return err
			}
			v, err := e.openVolumes()
			if err != nil {
				return err
			}
			for _, r := range rows {
				if got, err := v.Get(r.Name); err != nil || got.Foreign {
					continue // it went just now, or is not ours to remove
				}
				if err := v.Remove(r.Name); err != nil {
					return err
				}
				fmt.Fprintln(e.stdout, r.Name)
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&filters, "filter", nil, "only volumes that match `KEY=VALUE`")
	f.BoolVarP(&force, "force", "f", false, "do not ask")
	return cmd
}

// volumeRows describes the volumes that pass all filters.
func (e *env) volumeRows(ctx context.Context, filters []string) ([]volumeRow, error) {
	v, err := e.openVolumes()
	if err != nil {
		return nil, err
	}
	all, err := v.List()
	if err != nil {
		return nil, err
	}
	users, err := e.volumeUsers(ctx)
	if err != nil {
		return nil, err
	}
	rows := make([]volumeRow, 0, len(all))
	for _, one := range all {
		r := volumeRow{
			Name: one.Name, Driver: "local", Scope: "local", Mountpoint: one.Dir, CreatedAt: one.CreatedAt,
			Labels: labels(one.Labels), Options: labels(one.Options), Anonymous: one.Anonymous,
		}
		if r.Labels == nil {
			r.Labels = labels{}
		}
		if r.Options == nil {
			r.Options = labels{}
		}
		for _, u := range users {
			if slices.Contains(u.volumes, one.Name) {
				r.MountCount++
			}
		}
		if uid, gid, empty, err := owner(one.Dir); err == nil {
			r.UID, r.GID, r.NeedsCopyUp = uid, gid, empty && !one.NoCopy()
		}
		ok, err := matchVolume(r, filters)
		if err != nil {
			return nil, err
		}
		if ok {
			rows = append(rows, r)
		}
	}
	return rows, nil
}

// volumeUsers lists podunit's containers and what they mount.
func (e *env) volumeUsers(ctx context.Context) ([]volumeUser, error) {
	x, err := e.open(ctx)
	if err != nil {
		return nil, err
	}
	records, err := x.Containers.List()
	if err != nil {
		return nil, err
	}
	var users []volumeUser
	for _, r := range records {
		u := volumeUser{id: r.ID, name: r.Name, volumes: slices.Clone(r.AnonymousVolumes)}
		for _, m := range r.Spec.Mounts {
			if m.Type == spec.MountVolume {
				u.volumes = append(u.volumes, m.Source)
			}
		}
		users = append(users, u)
	}
	return users, nil
}

// matchVolume applies filters: those of one key are alternatives, but for labels.
// Source: podman-volume-ls(1), --filter.
func matchVolume(r volumeRow, filters []string) (bool, error) {
	passed := make(map[string]bool)
	for _, f := range filters {
		key, value, ok := strings.Cut(f, "=")
		if !ok && key != "label" {
			return false, fmt.Errorf("--filter %s: want KEY=VALUE", f)
		}
		var match bool
		switch key {
		case "name":
			match = strings.Contains(r.Name, value)
		case "driver":
			match = r.Driver == value
		case "scope":
			match = r.Scope == value
		case "label", "label!":
			k, want, exact := strings.Cut(value, "=")
			have, is := r.Labels[k]
			match = is && (!exact || have == want)
			if key == "label!" {
				match = !match
			}
			if !match {
				return false, nil
			}
		case "dangling", "anonymous":
			want, err := strconv.ParseBool(value)
			if err != nil {
				return false, fmt.Errorf("--filter %s: want true or false", f)
			}
			match = want == (r.MountCount == 0)
			if key == "anonymous" {
				match = want == r.Anonymous
			}
		case "until", "since", "after":
			t, err := pointInTime(value)
			if err != nil {
				return false, fmt.Errorf("--filter %s: %w", f, err)
			}
			match = r.CreatedAt.Before(t) == (key == "until")
		default:
			return false, fmt.Errorf("--filter %s: it is name, driver, scope, label, dangling, anonymous, until or after", f)
		}
		passed[key] = passed[key] || match
	}
	for _, ok := range passed {
		if !ok {
			return false, nil
		}
	}
	return true, nil
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

// completeVolumes offers the names of volumes to the shell.
func completeVolumes(e *env) cobra.CompletionFunc {
	return completeNames(func(context.Context) ([]string, error) {
		v, err := e.openVolumes()
		if err != nil {
			return nil, err
		}
		all, err := v.List()
		return namesOf(all, func(one *volume.Volume) string { return one.Name }), err
	})
}
