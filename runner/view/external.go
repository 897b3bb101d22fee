// SPDX-License-Identifier: Apache-2.0

package view

import (
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/service"
)

// External describes the containers of other tools in the storage, such as those that buildah works
// in: their images are in use. Nothing is known of their processes. Source: podman-ps(1),
// --external.
func External(x *service.Engine, short bool) ([]ContainerRow, error) {
	all, err := x.Containers.Store.Containers()
	if err != nil {
		return nil, err
	}
	ours, err := x.Containers.List()
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	for _, r := range ours {
		known[r.ID] = true
	}
	var rows []ContainerRow
	for _, c := range all {
		if known[c.ID] || container.HoldsIDs(&c) {
			continue
		}
		row := ContainerRow{
			ID: c.ID, IDFull: c.ID, NameList: c.Names, Names: strings.Join(c.Names, ","), ImageID: c.ImageID, Image: c.ImageID,
			Command: "storage", Cmd: []string{"storage"}, Unix: c.Created.Unix(), Created: units.HumanDuration(time.Since(c.Created)) + " ago",
			CreatedAt: c.Created.Local().Format("2006-01-02 15:04:05 -0700 MST"), State: "unknown", Status: "Storage",
			Labels: Labels{}, Networks: Names{}, Mounts: Names{}, layer: c.LayerID, record: container.Record{ID: c.ID, ImageID: c.ImageID, Created: c.Created},
		}
		row.RunningFor = row.Created
		if strings.Contains(c.Metadata, "buildah") {
			row.Command, row.Cmd = "buildah", []string{"buildah"}
		}
		if img, err := x.Containers.Store.Image(c.ImageID); err == nil && len(img.Names) > 0 {
			row.Image = img.Names[0]
		}
		if short {
			row.shorten()
		}
		rows = append(rows, row)
	}
	return rows, nil
}
