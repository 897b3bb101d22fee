// SPDX-License-Identifier: Apache-2.0

package system

import (
	"fmt"
	"os"
	"reflect"
	"strings"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/runc"
	"go.podman.io/common/pkg/config"
)

const (
	noConmon  = "there is no conmon: systemd watches containers"
	noService = "podunit works on this machine only, without a service of its own"
	noLibpod  = "the storage and systemd know the containers: there is no database of Podman's"
	noCompose = "podunit runs no compose"
	noInfra   = "a pod's infra process is podunit's own, without an image"
	noPlugins = "volumes are those of the storage: drivers are local and image"
)

// withoutEffect are the keys of containers.conf(5), by section, that mean nothing here, each with
// what holds instead. All others are honoured.
var withoutEffect = map[string]map[string]string{
	"containers": {
		"label_users":              "--security-opt label=user:NAME says it for a container",
		"log_path":                 "--log-opt path=FILE, or LogOpt=path= of a unit, says where a log file is",
		"prepare_volume_on_create": "a volume gets its first files when a container starts",
		"userns_size":              "--userns auto gives as many IDs as the image needs, or auto:size=N",
	},
	"engine": {
		"active_service": noService, "remote": noService, "remote_uri": noService, "remote_identity": noService, "service_destinations": noService,
		"service_timeout": noService, "ssh_config": noService, "compat_api_enforce_docker_hub": noService,
		"compose_providers": noCompose, "compose_warning_logs": noCompose,
		"conmon_env_vars": noConmon, "conmon_path": noConmon, "conmonrs_path": noConmon, "exit_command_delay": noConmon, "enable_port_reservation": noConmon,
		"database_backend": noLibpod, "lock_type": noLibpod, "num_locks": noLibpod, "static_dir": noLibpod, "namespace": noLibpod, "tmp_dir": "XDG_RUNTIME_DIR is where runtime state goes",
		"infra_command": noInfra, "infra_image": noInfra,
		"volume_plugins": noPlugins, "volume_plugin_timeout": noPlugins, "volume_path": "volumes lie in the storage: graphroot in storage.conf",
		"cgroup_check": "podunit doctor looks at cgroups", "cgroup_manager": "each container is in the cgroup of its unit, which systemd manages",
		"chown_copied_files":                   "podunit cp -a keeps the owners",
		"detach_keys":                          "a terminal of podunit run or attach has no keys that detach",
		"events_logfile_path":                  "events are in the journal",
		"events_logfile_max_size":              "events are in the journal, whose size journald.conf(5) says",
		"events_container_create_inspect_data": "podunit inspect shows it",
		"hooks_dir":                            "an OCI runtime of your own runs hooks: runtime = in containers.conf(5)",
		"image_build_format":                   "podunit build executes buildah, which takes BUILDAH_FORMAT",
		"image_default_format":                 "--format of push, save and commit says it",
		"image_default_transport":              "a name without a transport is of a registry",
		"kube_generate_type":                   "--type of kube generate says it",
		"multi_image_archive":                  "--multi-image-archive of save says it",
		"network_cmd_options":                  "there is no slirp4netns: pasta_options in containers.conf(5)",
		"platform_to_oci_runtime":              "--runtime names one for a container",
		"runtimes_flags":                       "--runtime names a script that adds flags",
		"runtime_path":                         "runtimes in containers.conf(5) has the paths of a runtime",
		"runtime_supports_json":                "what is installed is asked", "runtime_supports_nocgroup": "what is installed is asked", "runtime_supports_kvm": "what is installed is asked",
		"podmansh_timeout": "there is no podmansh",
		"add_compression":  "--compression-format of push says one",
	},
	"network": {
		"network_backend":              "networks are netavark's",
		"default_rootless_network_cmd": "pasta connects",
		"rootless_port_forwarder":      "pasta forwards ports",
	},
	"configmaps": {"driver": "ConfigMaps are files, --configmap", "opts": "ConfigMaps are files, --configmap"},
	"machine":    {"*": "there are no machines: podunit works on this one"},
	"farms":      {"*": "there are no farms: podunit works on this machine"},
	"podmansh":   {"*": "there is no podmansh"},
}

// takenForGranted are values that say what holds here anyway: SECTION.KEY, and the value. Debian
// 12's Podman needs its backend said, else it may take CNI.
var takenForGranted = map[string]string{"network.network_backend": "netavark"}

// ofTheKernel are keys that mean nothing without a part of the kernel, SECTION.KEY, with the file
// that is there when that is, and what holds instead.
var ofTheKernel = map[string]struct{ sign, why string }{
	"containers.label": {"/sys/fs/selinux/enforce", "this kernel has no SELinux"},
}

// configuration tells of what containers.conf(5) says and nobody does.
func configuration(e *cli.Env) finding {
	const check = "containers.conf"
	said, err := runc.Said(e.Modules)
	if err != nil {
		return finding{check, fault, err.Error(), "mend the file: containers.conf(5)"}
	}
	void := saidInVain(said, exists)
	if len(void) == 0 {
		return finding{check, fine, "everything in it has an effect", ""}
	}
	return finding{check, warning, "no effect: " + strings.Join(void, "; "), "take them out of containers.conf, if no other program reads them there"}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// saidInVain lists the keys that have a value and no effect, each with what holds instead. exists
// tells whether there is a file.
func saidInVain(said *config.Config, exists func(path string) bool) []string {
	var out []string
	eachKey(said, func(section, key, _ string, value reflect.Value) {
		why, void := withoutEffect[section][key]
		if !void {
			why, void = withoutEffect[section]["*"]
		}
		if part, needed := ofTheKernel[section+"."+key]; needed && !exists(part.sign) {
			why, void = part.why, true
		}
		if same, named := takenForGranted[section+"."+key]; named && value.String() == same {
			return
		}
		empty := value.IsZero() || value.Kind() == reflect.Map && value.Len() == 0 // a section with comments only
		if void && !empty {
			out = append(out, fmt.Sprintf("%s of [%s]: %s", key, section, why))
		}
	})
	return out
}

// eachKey calls do with each key of the configuration, the name of its field and its value.
func eachKey(conf *config.Config, do func(section, key, field string, value reflect.Value)) {
	sections := reflect.ValueOf(conf).Elem()
	for i := range sections.NumField() {
		section, ok := tomlName(sections.Type().Field(i))
		if !ok {
			continue
		}
		values := sections.Field(i)
		for j := range values.NumField() {
			if key, ok := tomlName(values.Type().Field(j)); ok {
				do(section, key, values.Type().Field(j).Name, values.Field(j))
			}
		}
	}
}

// tomlName is the name that a field has in the file, if it has one there.
func tomlName(f reflect.StructField) (string, bool) {
	name, _, _ := strings.Cut(f.Tag.Get("toml"), ",")
	return name, name != "" && name != "-"
}
