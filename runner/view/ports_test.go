// SPDX-License-Identifier: Apache-2.0

package view

import (
	"net/netip"
	"reflect"
	"testing"

	"github.com/podunit/podunit/runner/spec"
)

func TestPublished(t *testing.T) {
	got := published([]spec.PortMapping{
		{HostPort: 8080, ContainerPort: 80, Range: 2, Protocol: "tcp"},
		{HostIP: netip.MustParseAddr("::1"), HostPort: 53, ContainerPort: 53, Range: 1, Protocol: "udp"},
	})
	want := [][2]string{{"80/tcp", "0.0.0.0:8080"}, {"81/tcp", "0.0.0.0:8081"}, {"53/udp", "[::1]:53"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
