// SPDX-License-Identifier: Apache-2.0

package spec

// Defaults is a container for which nothing was said: what run without flags means. It needs an
// Image or a Rootfs before it passes Check.
func Defaults() Container {
	return Container{
		SdNotify: "container", Systemd: "true", SigProxy: true, Passwd: true, ReadOnlyTmpfs: true,
		Pull: Pull{Policy: "missing", Retry: DefaultRetry}, Env: map[string]string{}, Labels: map[string]string{},
	}
}

// PodDefaults is a pod for which nothing was said: what pod create without flags means.
func PodDefaults() Pod {
	return Pod{Infra: true, ExitPolicy: "continue", Share: []string{"ipc", "net", "uts"}, Labels: map[string]string{}}
}
