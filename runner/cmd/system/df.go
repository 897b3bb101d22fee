// SPDX-License-Identifier: Apache-2.0

package system

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/format"
	"github.com/podunit/podunit/runner/image/registry"
	"github.com/podunit/podunit/runner/safe"
	"github.com/podunit/podunit/runner/service"
	"github.com/podunit/podunit/runner/view"
	"github.com/spf13/cobra"
)

// used is a row of system df; the names of fields are podman's.
type used struct {
	Type           string
	Total          int
	Active         int
	RawSize        int64 // bytes
	RawReclaimable int64 // bytes
	TotalCount     int
	Size           string
	Reclaimable    string
}

// usage makes a row.
func usage(kind string, total, active int, size, free int64) used {
	percent := 0
	if size > 0 {
		percent = int(math.Round(100 * float64(free) / float64(size)))
	}
	return used{kind, total, active, size, free, total, units.HumanSize(float64(size)), fmt.Sprintf("%s (%d%%)", units.HumanSize(float64(free)), percent)}
}

// imageUse, containerUse and volumeUse are rows of system df --verbose.
type imageUse struct {
	Repository, Tag, ImageID, Created, Size, SharedSize, UniqueSize string
	Containers                                                      int
}

type containerUse struct {
	ContainerID, Image, Command  string
	LocalVolumes                 int
	Size, Created, Status, Names string
	bytes                        int64
	runs                         bool
}

type volumeUse struct {
	VolumeName string
	Links      int
	Size       string
	bytes      int64
}

// NewDf makes podunit system df.
func NewDf(e *cli.Env) *cobra.Command {
	var verbose bool
	var out string
	cmd := &cobra.Command{
		Use:   "df [flags]",
		Short: "Show how much of the disk images, containers and volumes take",
		Args:  cli.WantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if verbose && out != "" {
				return errors.New("cannot combine --format and --verbose flags")
			}
			x, err := e.Open(cmd.Context())
			if err != nil {
				return err
			}
			d, err := takeStock(cmd.Context(), e, x)
			if err != nil {
				return err
			}
			if verbose {
				return d.verbose(e)
			}
			if format.IsJSON(out) {
				return format.JSON(e.Stdout, d.rows())
			}
			return format.Rows(e.Stdout, format.Table{Format: out, Default: "{{.Type}}\t{{.Total}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}"}, d.rows())
		},
	}
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "each image, container and volume")
	cmd.Flags().StringVar(&out, "format", "", "Go `TEMPLATE`, table TEMPLATE, or json")
	cli.CompleteFormat[used](cmd)
	return cmd
}

// stock are the images, containers and volumes of the storage, with their sizes.
type stock struct {
	images        []imageUse
	containers    []containerUse
	volumes       []volumeUse
	count, active int   // of images
	size, free    int64 // of images, bytes
}

// takeStock finds out how much room everything takes.
func takeStock(ctx context.Context, e *cli.Env, x *service.Engine) (stock, error) {
	var d stock
	images, total, err := registry.New(x.Containers.Store, e.User.RunDir).DiskUsage(ctx)
	if err != nil {
		return d, err
	}
	d.size = total
	seen := map[string]bool{}
	for _, i := range images {
		d.images = append(d.images, imageUse{
			i.Repository, i.Tag, i.ID[:min(12, len(i.ID))], units.HumanDuration(time.Since(i.Created)) + " ago",
			units.HumanSize(float64(i.Size)), units.HumanSize(float64(i.SharedSize)), units.HumanSize(float64(i.UniqueSize)), i.Containers,
		})
		if seen[i.ID] {
			continue
		}
		seen[i.ID] = true
		d.count++
		if i.Containers > 0 {
			d.active++
		} else {
			d.free += i.UniqueSize
		}
	}
	if err := d.countContainers(x); err != nil {
		return d, err
	}
	rows, err := view.Volumes(x, nil)
	if err != nil {
		return d, err
	}
	for _, r := range rows {
		n, err := safe.Size(r.Mountpoint)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it went just now
		}
		if err != nil {
			return d, err
		}
		d.volumes = append(d.volumes, volumeUse{r.Name, r.MountCount, units.HumanSize(float64(n)), n})
	}
	return d, nil
}

// countContainers adds the containers, with what each has written over its image.
func (d *stock) countContainers(x *service.Engine) error {
	rows, err := view.Containers(x, true)
	if err != nil {
		return err
	}
	for _, r := range rows {
		n, err := view.Written(x, r.IDFull)
		if view.Gone(err) {
			continue // it went just now
		}
		if err != nil {
			return err
		}
		d.containers = append(d.containers, containerUse{
			ContainerID: r.ID, Image: r.Image, Command: r.Command, LocalVolumes: len(r.Mounts), Size: units.HumanSize(float64(n)),
			Created: r.Created, Status: r.State, Names: r.Names, bytes: n, runs: r.State == "running" || r.State == "paused",
		})
	}
	return nil
}

func (d stock) rows() []used {
	var containers, stopped, volumes, unused int64
	running, linked := 0, 0
	for _, c := range d.containers {
		containers += c.bytes
		if c.runs {
			running++
		} else {
			stopped += c.bytes
		}
	}
	for _, v := range d.volumes {
		volumes += v.bytes
		if v.Links > 0 {
			linked++
		} else {
			unused += v.bytes
		}
	}
	return []used{
		usage("Images", d.count, d.active, d.size, d.free),
		usage("Containers", len(d.containers), running, containers, stopped),
		usage("Local Volumes", len(d.volumes), linked, volumes, unused),
	}
}

// verbose prints three tables.
func (d stock) verbose(e *cli.Env) error {
	slices.SortFunc(d.volumes, func(a, b volumeUse) int { return strings.Compare(a.VolumeName, b.VolumeName) })
	fmt.Fprint(e.Stdout, "Images space usage:\n\n")
	err := format.Rows(e.Stdout, format.Table{
		Default:  "{{.Repository}}\t{{.Tag}}\t{{.ImageID}}\t{{.Created}}\t{{.Size}}\t{{.SharedSize}}\t{{.UniqueSize}}\t{{.Containers}}",
		Headings: map[string]string{"ImageID": "IMAGE ID", "SharedSize": "SHARED SIZE", "UniqueSize": "UNIQUE SIZE"},
	}, d.images)
	if err != nil {
		return err
	}
	fmt.Fprint(e.Stdout, "\nContainers space usage:\n\n")
	err = format.Rows(e.Stdout, format.Table{
		Default:  "{{.ContainerID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t{{.Created}}\t{{.Status}}\t{{.Names}}",
		Headings: map[string]string{"ContainerID": "CONTAINER ID", "LocalVolumes": "LOCAL VOLUMES"},
	}, d.containers)
	if err != nil {
		return err
	}
	fmt.Fprint(e.Stdout, "\nLocal Volumes space usage:\n\n")
	return format.Rows(e.Stdout, format.Table{
		Default: "{{.VolumeName}}\t{{.Links}}\t{{.Size}}", Headings: map[string]string{"VolumeName": "VOLUME NAME"},
	}, d.volumes)
}
