// SPDX-License-Identifier: Apache-2.0

package view

import (
	"time"

	"github.com/docker/go-units"
	"github.com/podunit/podunit/runner/secret"
)

// SecretRow is a row of secret ls; the names of fields are podman's, for templates and JSON.
type SecretRow struct {
	ID, Name, Driver     string
	CreatedAt, UpdatedAt string
}

// Secret describes a secret in a row.
func Secret(s secret.Secret) SecretRow {
	return SecretRow{
		ID: s.ID, Name: s.Name, Driver: s.Driver,
		CreatedAt: units.HumanDuration(time.Since(s.CreatedAt)) + " ago", UpdatedAt: units.HumanDuration(time.Since(s.UpdatedAt)) + " ago",
	}
}

// secretFilters are the keys of podunit secret ls --filter. Source: podman-secret-ls(1).
var secretFilters = Filters[SecretRow]{
	"name": Any(func(r SecretRow, v string) bool { return matches(r.Name, v) }),
	"id":   Any(func(r SecretRow, v string) bool { return matches(r.ID, v) }),
}

// SecretFilters reads --filter of podunit secret ls.
func SecretFilters(filters []string) (func(SecretRow) bool, error) {
	return secretFilters.Read(filters)
}

// InspectedSecret is all there is to know of a secret, in inspect.
type InspectedSecret struct {
	ID                   string
	CreatedAt, UpdatedAt time.Time
	Spec                 SecretSpec
	SecretData           string `json:",omitempty"` // only if it was asked for
}

// SecretSpec is how a secret is kept.
type SecretSpec struct {
	Name   string
	Driver SecretDriver
	Labels map[string]string
}

// SecretDriver is what keeps a secret.
type SecretDriver struct {
	Name    string
	Options map[string]string
}

// InspectSecret tells all there is to know of a secret. value is empty if it is not to be shown.
func InspectSecret(s secret.Secret, value []byte) InspectedSecret {
	labels := s.Labels
	if labels == nil {
		labels = map[string]string{}
	}
	return InspectedSecret{
		ID: s.ID, CreatedAt: s.CreatedAt, UpdatedAt: s.UpdatedAt, SecretData: string(value),
		Spec: SecretSpec{Name: s.Name, Driver: SecretDriver{Name: s.Driver, Options: s.DriverOptions}, Labels: labels},
	}
}
