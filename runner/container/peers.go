// SPDX-License-Identifier: Apache-2.0

package container

import (
	"fmt"

	"github.com/podunit/podunit/runner/process"
)

// Peers are the containers that container:NAME means, by the kernel's names for the namespaces that
// are joined. Who asks for a start finds them; nothing in this package looks for a name.
type Peers map[string]Record

// of is the peer whose namespace of that kind is joined.
func (p Peers) of(kind string) (Record, error) {
	one, ok := p[kind]
	if !ok {
		return one, fmt.Errorf("the %s namespace of another container: %w", kind, ErrNotFound)
	}
	return one, nil
}

// running returns an error if a pod of which something is shared has ended since it was found.
func (j *Join) running() error {
	if j != nil && len(j.Share) > 0 && !process.Alive(j.PID, j.Ticks) {
		return fmt.Errorf("pod %s has ended meanwhile; start it first", j.Pod)
	}
	return nil
}

// joined is the path of the peer's namespace of that kind. A start may take long, so that the peer
// is asked at the join whether it runs: it may have ended since it was found, or be there only now.
func (s *start) joined(kind string) (string, error) {
	one, err := s.ask.Peers.of(kind)
	if err != nil {
		return "", err
	}
	now, err := s.Status(one.ID)
	if err == nil && now.PID == 0 {
		err = ErrNotRunning
	}
	s.others = append(s.others, other{one.Name, now.PID, now.StartTicks})
	return process.Namespace(now.PID, kind), err
}

// other is the process of another container whose namespaces are joined.
type other struct {
	name  string
	pid   int
	ticks uint64
}

// joinedTheirs returns an error if one whose namespaces the container has joined has ended. The
// runtime has opened them by the number of a process, which may have been another one's by then.
func (s *start) joinedTheirs() error {
	if err := s.ask.Join.running(); err != nil {
		return err
	}
	for _, o := range s.others {
		if !process.Alive(o.pid, o.ticks) {
			return fmt.Errorf("container %s, whose namespaces are joined: %w any more; start it first", o.name, ErrNotRunning)
		}
	}
	return nil
}
