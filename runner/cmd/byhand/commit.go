// SPDX-License-Identifier: Apache-2.0

package byhand

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/image/registry"
	"github.com/podunit/podunit/runner/safe"
	"github.com/podunit/podunit/runner/service"
	"github.com/podunit/podunit/runner/spec"
	"github.com/spf13/cobra"
)

// committing are the flags and words of a command line of commit.
type committing struct {
	registry.Commit
	format, idFile                string
	pause, quiet, volumes, squash bool
}

// NewCommit makes podunit commit.
func NewCommit(e *cli.Env) *cobra.Command {
	var c committing
	cmd := &cobra.Command{
		Use:   "commit [flags] CONTAINER [IMAGE]",
		Short: "Make an image of what a container has changed",
		Long: `Make an image of what a container has changed, without what is in its volumes. An image that is to be
made again belongs into a Containerfile.`,
		Args:              cli.WantArgs(1, 2),
		ValidArgsFunction: cli.CompleteContainers(e, cli.Whatever),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch c.format {
			case "oci":
			case "docker":
				c.Docker = true
			default:
				return fmt.Errorf("unrecognized image format %q; it is oci or docker", c.format)
			}
			if c.Message != "" && !c.Docker {
				return registry.ErrMessage
			}
			if len(args) > 1 {
				c.Name = args[1]
			}
			x, err := e.Open(cmd.Context())
			if err != nil {
				return err
			}
			r, err := x.Find(args[0])
			if err != nil {
				return err
			}
			id, err := c.commit(cmd.Context(), x, registry.New(x.Containers.Store, e.User.RunDir), r)
			if err != nil {
				return err
			}
			x.Containers.Tell(r, "commit")
			if c.idFile != "" {
				if err := safe.Replace(c.idFile, []byte(id), 0o644); err != nil {
					return err
				}
			}
			fmt.Fprintln(e.Stdout, id)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVarP(&c.Author, "author", "a", "", "who made it")
	f.StringArrayVarP(&c.Changes, "change", "c", nil, "Dockerfile `INSTRUCTION`: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME or WORKDIR")
	f.StringVarP(&c.format, "format", "f", "oci", "`FORMAT` of the image: oci or docker")
	f.StringVar(&c.idFile, "iidfile", "", "write the ID of the image to `FILE`")
	f.BoolVar(&c.volumes, "include-volumes", false, "the image has volumes where the container has")
	f.StringVarP(&c.Message, "message", "m", "", "comment, in Docker's format")
	f.BoolVarP(&c.pause, "pause", "p", false, "have its processes stand still meanwhile")
	f.BoolVarP(&c.quiet, "quiet", "q", false, "say nothing of the progress, as always here")
	f.BoolVarP(&c.squash, "squash", "s", false, "one layer with all files")
	cli.Complete(cmd, "format", "oci", "docker")
	return cmd
}

// commit makes the image.
func (c *committing) commit(ctx context.Context, x *service.Engine, im *registry.Images, r container.Record) (id string, err error) {
	if r.Spec.Rootfs != nil {
		return "", fmt.Errorf("container %s has no image (--rootfs); podunit export and podunit import make one", r.Name)
	}
	if c.pause && frozen(x, r, false) {
		if err := x.Pause(ctx, r); err != nil {
			return "", err
		}
		defer func() { err = errors.Join(err, x.Unpause(r)) }()
	}
	c.Parent, c.Squash, c.Config = r.ImageID, c.squash, runsAs(r, c.volumes)
	if c.squash {
		from, to := io.Pipe()
		go func() { to.CloseWithError(x.Containers.Export(r, to)) }()
		defer from.Close()
		c.Layer = from
		return im.Commit(ctx, c.Commit)
	}
	layer, err := x.Containers.Diff(r)
	if err != nil {
		return "", err
	}
	defer layer.Close()
	c.Layer = layer
	return im.Commit(ctx, c.Commit)
}

// runsAs is the configuration of an image that is made of a container: that of the container's
// image, changed by the container's own command line.
func runsAs(r container.Record, volumes bool) ispec.ImageConfig {
	c := r.Config
	if r.Spec.Entrypoint != nil {
		c.Entrypoint, c.Cmd = r.Spec.Entrypoint, nil
	}
	if r.Spec.Command != nil {
		c.Cmd = r.Spec.Command
	}
	c.User, c.WorkingDir = cmp.Or(r.Spec.User, c.User), cmp.Or(r.Spec.WorkDir, c.WorkingDir)
	c.Env = slices.Clone(c.Env)
	for _, name := range slices.Sorted(maps.Keys(r.Spec.Env)) {
		c.Env = append(slices.DeleteFunc(c.Env, func(v string) bool { return strings.HasPrefix(v, name+"=") }), name+"="+r.Spec.Env[name])
	}
	if labels := r.Labels(); len(labels) > 0 {
		c.Labels = labels
	}
	if ports := r.Spec.Ports(); len(ports) > 0 {
		c.ExposedPorts = maps.Clone(c.ExposedPorts)
		if c.ExposedPorts == nil {
			c.ExposedPorts = map[string]struct{}{}
		}
		for _, p := range ports {
			for i := range max(p.Range, 1) {
				c.ExposedPorts[fmt.Sprintf("%d/%s", p.ContainerPort+i, p.Protocol)] = struct{}{}
			}
		}
	}
	if volumes {
		c.Volumes = maps.Clone(c.Volumes)
		if c.Volumes == nil {
			c.Volumes = map[string]struct{}{}
		}
		for _, m := range r.Spec.Mounts {
			if m.Type == spec.MountVolume {
				c.Volumes[path.Clean(m.Destination)] = struct{}{}
			}
		}
	}
	return c
}
