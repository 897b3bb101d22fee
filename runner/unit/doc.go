// SPDX-License-Identifier: Apache-2.0

// Package unit is podunit's view of systemd: which unit this process is in, its
// cgroup, and what can be asked of the manager over D-Bus. It knows services and
// scopes, not containers.
package unit
