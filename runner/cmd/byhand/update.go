// SPDX-License-Identifier: Apache-2.0

package byhand

import (
	"fmt"
	"strings"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/service"
	"github.com/podunit/podunit/runner/spec"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// updates are the flags of run that can be changed for an existing container, with what each of
// them sets.
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

	"health-cmd":              func(to, from *spec.Container) { check(to).Test = check(from).Test },
	"health-interval":         func(to, from *spec.Container) { check(to).Interval = check(from).Interval },
	"health-timeout":          func(to, from *spec.Container) { check(to).Timeout = check(from).Timeout },
	"health-start-period":     func(to, from *spec.Container) { check(to).StartPeriod = check(from).StartPeriod },
	"health-retries":          func(to, from *spec.Container) { check(to).Retries = check(from).Retries },
	"health-on-failure":       func(to, from *spec.Container) { to.OnUnhealthy = from.OnUnhealthy },
	"health-log-destination":  func(to, from *spec.Container) { to.HealthLog.Destination = from.HealthLog.Destination },
	"health-max-log-count":    func(to, from *spec.Container) { to.HealthLog.Count = from.HealthLog.Count },
	"health-max-log-size":     func(to, from *spec.Container) { to.HealthLog.Size = from.HealthLog.Size },
	"health-startup-cmd":      func(to, from *spec.Container) { startup(to).Test = startup(from).Test },
	"health-startup-interval": func(to, from *spec.Container) { startup(to).Interval = startup(from).Interval },
	"health-startup-timeout":  func(to, from *spec.Container) { startup(to).Timeout = startup(from).Timeout },
	"health-startup-retries":  func(to, from *spec.Container) { startup(to).Retries = startup(from).Retries },
	"health-startup-success":  func(to, from *spec.Container) { startup(to).Successes = startup(from).Successes },
	"no-healthcheck":          func(to, from *spec.Container) { noCheck(to, from.Health) },
}

// check is the health check of a container, made if there is none.
func check(c *spec.Container) *spec.HealthCheck {
	if c.Health == nil {
		c.Health = &spec.HealthCheck{}
	}
	return c.Health
}

// startup is check for the start-up check.
func startup(c *spec.Container) *spec.HealthCheck {
	if c.StartupHealth == nil {
		c.StartupHealth = &spec.HealthCheck{}
	}
	return c.StartupHealth
}

// noCheck removes all checks of a container, if h says so.
func noCheck(c *spec.Container, h *spec.HealthCheck) {
	if h.None() {
		c.Health, c.StartupHealth, c.OnUnhealthy = h, nil, ""
	}
}

// onlyV1 is the warning for limits that cgroup v2 does not have.
const onlyV1 = "cgroup v2, which podunit needs, has no such limit"

// NewUpdate makes podunit update.
func NewUpdate(e *cli.Env) *cobra.Command {
	var latest bool
	cmd := &cobra.Command{
		Use:   "update [flags] CONTAINER",
		Short: "Change the limits, the checks and the restart policy of a container",
		Long: `Change the limits and the health checks of a container, at once if it runs, and its restart policy from the next
start on. What a unit file makes is made anew at each start: there, HealthCmd= in the file, and MemoryMax= and Restart= in the
[Service] section are the way.`,
		Example:           "  podunit update --memory 1g --cpus 2 web\n  podunit update --health-interval 10s web",
		ValidArgsFunction: cli.CompleteContainers(e, cli.Whatever),
	}
	all := pflag.NewFlagSet("update", pflag.ContinueOnError)
	flags := spec.ContainerFlags(all)
	for name := range updates {
		cmd.Flags().AddFlag(all.Lookup(name))
	}
	const device = "the runtime's update knows no devices; systemctl set-property UNIT, with --user for a user's: "
	for name, instead := range map[string]string{
		"blkio-weight-device": device + "IODeviceWeight=", "device-read-bps": device + "IOReadBandwidthMax=", "device-write-bps": device + "IOWriteBandwidthMax=",
		"device-read-iops": device + "IOReadIOPSMax=", "device-write-iops": device + "IOWriteIOPSMax=",
		"memory-swappiness": onlyV1, "cpu-rt-period": onlyV1, "cpu-rt-runtime": onlyV1,
	} {
		cli.Refuse(cmd.Flags(), name, "", instead)
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
		cmd.Flags().Visit(func(f *pflag.Flag) { c.Checks = c.Checks || strings.Contains(f.Name, "health") })
		if err := x.Update(cmd.Context(), r, c); err != nil {
			return err
		}
		_, err = fmt.Fprintln(e.Stdout, r.ID)
		return err
	}
	return cmd
}

// take writes the flags that were given into the container's. A flag that sets the same in other
// words is removed.
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
