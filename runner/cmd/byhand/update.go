// SPDX-License-Identifier: Apache-2.0

package byhand

import (
	"fmt"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/service"
	"github.com/podunit/podunit/runner/spec"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// updates are the flags of run that a container can get anew, and what each of them sets.
var updates = map[string]func(to, from *spec.Container){
	"blkio-weight":       func(to, from *spec.Container) { to.BlkioWeight = from.BlkioWeight },
	"cpu-period":         func(to, from *spec.Container) { to.CPUPeriod = from.CPUPeriod },
	"cpu-quota":          func(to, from *spec.Container) { to.CPUQuota = from.CPUQuota },
	"cpu-shares":         func(to, from *spec.Container) { to.CPUShares = from.CPUShares },
	"cpus":               func(to, from *spec.Container) { to.CPUs = from.CPUs },
	"cpuset-cpus":        func(to, from *spec.Container) { to.CpusetCPUs = from.CpusetCPUs },
	"cpuset-mems":        func(to, from *spec.Container) { to.CpusetMems = from.CpusetMems },
	"memory":             func(to, from *spec.Container) { to.Memory = from.Memory },
	"memory-reservation": func(to, from *spec.Container) { to.MemoryReservation = from.MemoryReservation },
	"memory-swap":        func(to, from *spec.Container) { to.MemorySwap = from.MemorySwap },
	"pids-limit":         func(to, from *spec.Container) { to.PidsLimit = from.PidsLimit },
	"restart":            func(to, from *spec.Container) { to.Restart = from.Restart },
}

// NewUpdate makes podunit update.
func NewUpdate(e *cli.Env) *cobra.Command {
	var latest bool
	cmd := &cobra.Command{
		Use:   "update [flags] CONTAINER",
		Short: "Change the limits and the restart policy of a container",
		Long: `Change the limits of a container, at once if it runs, and its restart policy from the next start on. What a unit
file makes is made anew at each start: there, MemoryMax= and Restart= in the [Service] section are the way.`,
		Example:           "  podunit update --memory 1g --cpus 2 web",
		ValidArgsFunction: cli.CompleteContainers(e, cli.Whatever),
	}
	all := pflag.NewFlagSet("update", pflag.ContinueOnError)
	flags := spec.ContainerFlags(all)
	for name := range updates {
		cmd.Flags().AddFlag(all.Lookup(name))
	}
	latestFlag(cmd, &latest)
	cmd.SetFlagErrorFunc(cli.FlagError)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		asked, err := flags.Container([]string{"image"}, e.Host())
		if err != nil {
			return err
		}
		x, r, err := only(cmd, e, latest, args)
		if err != nil {
			return err
		}
		c := service.Change{Apply: func(to *spec.Container) { take(cmd.Flags(), to, asked) }, Restarts: cmd.Flags().Changed("restart")}
		if err := x.Update(cmd.Context(), r, c); err != nil {
			return err
		}
		_, err = fmt.Fprintln(e.Stdout, r.ID)
		return err
	}
	return cmd
}

// take takes over what was given on the command line. What says the same in other words goes.
func take(given *pflag.FlagSet, to, from *spec.Container) {
	for name, set := range updates {
		if given.Changed(name) {
			set(to, from)
		}
	}
	switch {
	case given.Changed("cpus"):
		to.CPUQuota, to.CPUPeriod = nil, nil
	case given.Changed("cpu-quota"), given.Changed("cpu-period"):
		to.CPUs = nil
	}
}
