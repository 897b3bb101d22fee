// SPDX-License-Identifier: Apache-2.0

package container

import (
	"fmt"

	"github.com/podunit/podunit/runner/process"
)

// A Peer is another container, of which one joins a namespace.
type Peer struct {
	Record Record
	Status Status // as it was found
}

// Peers are the containers that container:NAME means, by the kernel's names for the namespaces.
// Who asks for a start finds them; nothing in this package looks for a name.
type Peers map[string]Peer

// of is the peer whose namespace of that kind is joined.
func (p Peers) of(kind string) (Peer, error) {
	one, ok := p[kind]
	if !ok {
		return one, fmt.Errorf("the %s namespace of another container: %w", kind, ErrNotFound)
	}
	return one, nil
}

// namespace is the path of the peer's namespace of that kind. The peer may have ended since it was
// found.
func (p Peers) namespace(kind string) (string, error) {
	one, err := p.of(kind)
	if err != nil {
		return "", err
	}
	if one.Status.PID == 0 || !process.Alive(one.Status.PID, one.Status.StartTicks) {
		return "", ErrNotRunning
	}
	return process.Namespace(one.Status.PID, kind), nil
}
