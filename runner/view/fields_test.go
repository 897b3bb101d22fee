// SPDX-License-Identifier: Apache-2.0

package view

import (
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// TestFieldsOfPodman: what scripts read of podman's JSON is there under podman's names, whatever the
// value. Seen with Podman 5.4.2.
func TestFieldsOfPodman(t *testing.T) {
	for name, c := range map[string]struct {
		row    any
		fields string
	}{
		"ps": {ContainerRow{}, "AutoRemove CIDFile Command Created CreatedAt ExitCode Exited ExitedAt ExposedPorts Id Image ImageID IsInfra Labels " +
			"Mounts Names Namespaces Networks Pid Pod PodName Ports Restarts Size StartedAt State Status"},
		"inspect": {Container{}, "AppArmorProfile Args BoundingCaps Config ConmonPidFile Created Dependencies Driver EffectiveCaps ExecIDs GraphDriver " +
			"HostConfig HostnamePath HostsPath Id Image ImageDigest ImageName IsInfra IsService KubeExitCodePropagation MountLabel Mounts Name " +
			"Namespace NetworkSettings OCIConfigPath OCIRuntime Path PidFile Pod ProcessLabel ResolvConfPath RestartCount Rootfs State StaticDir " +
			"UseImageHostname UseImageHosts lockNumber"},
		"its state":    {State{}, "CgroupPath CheckpointedAt ConmonPid Dead Error ExitCode FinishedAt OOMKilled OciVersion Paused Pid Restarting RestoredAt Running StartedAt Status"},
		"its limits":   {HostSettings{}, "CpuPeriod CpuQuota CpuShares CpusetCpus Memory MemoryReservation MemorySwap NanoCpus PidsLimit ShmSize Ulimits OomScoreAdj CgroupManager VolumesFrom"},
		"its networks": {Network{}, "Bridge EndpointID Gateway GlobalIPv6Address HairpinMode IPAddress IPPrefixLen IPv6Gateway LinkLocalIPv6Address MacAddress Networks Ports SandboxID SandboxKey"},
		"pod ps":       {PodRow{}, "Cgroup Containers Created Id InfraId Labels Name Namespace Networks Status"},
		"pod inspect":  {Pod{}, "CgroupParent CgroupPath Containers CreateCgroup CreateCommand CreateInfra Created ExitPolicy Hostname Id InfraConfig InfraContainerID LockNumber Name NumContainers SharedNamespaces State"},
		"pod stats":    {PodStat{}, "BlockIO CID CPU Mem MemUsage MemUsageBytes Name NetIO PIDS Pod"},
	} {
		text, err := json.Marshal(c.row)
		var has map[string]any
		if err == nil {
			err = json.Unmarshal(text, &has)
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for field := range strings.FieldsSeq(c.fields) {
			if _, ok := has[field]; !ok {
				t.Errorf("%s has no %s", name, field)
			}
		}
	}
}

func TestSizes(t *testing.T) {
	row := ContainerRow{Sizes: &Sizes{RootFs: 2_180_000, Rw: 0}}
	if got := row.Size(); got != "0B (virtual 2.18MB)" {
		t.Error(got)
	}
	if got := (ContainerRow{}).Size(); got != "" {
		t.Errorf("without --size: %q", got)
	}
	rows := []ContainerRow{{Names: "big", Sizes: &Sizes{RootFs: 2}}, {Names: "small", Sizes: &Sizes{RootFs: 1}}, {Names: "unknown"}}
	if err := SortContainers(rows, "size"); err != nil || rows[0].Names != "unknown" || rows[2].Names != "big" {
		t.Errorf("%v, %v", rows, err)
	}
}

// TestStatesOfFilters: a state that there is not is an error, not an empty list.
func TestStatesOfFilters(t *testing.T) {
	if _, err := ContainerFilters([]string{"status=bogus"}, nil); err == nil || !strings.Contains(err.Error(), "unknown container state: bogus") {
		t.Error(err)
	}
	if _, err := PodFilters([]string{"status=bogus"}); err == nil || !strings.Contains(err.Error(), "bogus is not a valid pod status") {
		t.Error(err)
	}
	if match, err := PodFilters([]string{"status=Running"}); err != nil || !match(PodRow{Status: "Running"}) {
		t.Error(err)
	}
}

// TestNamespacesOfAProcess: ps --namespace has the numbers of all kinds.
func TestNamespacesOfAProcess(t *testing.T) {
	rows := []ContainerRow{{Pid: 1 << 30}, {}}
	AddNamespaces(rows)
	if !reflect.DeepEqual(rows[0].Namespaces, Namespaces{}) {
		t.Errorf("of a process that is not there: %+v", rows[0].Namespaces)
	}
	own := namespacesOf(os.Getpid())
	if all := []string{own.Cgroup, own.IPC, own.MNT, own.NET, own.PIDNS, own.USERNS, own.UTS}; slices.Contains(all, "") {
		t.Errorf("%q", all)
	}
}
