// SPDX-License-Identifier: Apache-2.0

package service

import (
	"errors"
	"fmt"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/spec"
)

// A namespace is one that a container may share with another one.
type namespace struct {
	flag, kind string // without dashes, and as the kernel calls it
	*spec.Namespace
}

// namespacesOf are all of a container's, but for the network: that is asked for with networks of
// other kinds.
func namespacesOf(c *spec.Container) []namespace {
	return []namespace{
		{"pid", "pid", &c.PIDNS}, {"ipc", "ipc", &c.IPCNS}, {"uts", "uts", &c.UTSNS}, {"cgroupns", "cgroup", &c.CgroupNS}, userNamespace(c),
	}
}

// networkNamespace is the one that a container or pod joins as its network, if it does.
func networkNamespace(n spec.Networking) []namespace {
	for _, one := range n.Networks {
		if one.Mode == spec.NetContainer {
			return []namespace{{"network", "net", &spec.Namespace{Mode: "container", Container: one.Name}}}
		}
	}
	return nil
}

// userNamespace is a container's user namespace.
func userNamespace(c *spec.Container) namespace {
	return namespace{"userns", "user", &c.UserNS.From}
}

// peerWords are the words of a command line that name other containers, in what a container or pod
// shares with them; empty where it shares nothing.
func peerWords(networks []spec.Network, namespaces []namespace, from []spec.VolumesFrom) []*string {
	var words []*string
	for i := range networks {
		if networks[i].Mode == spec.NetContainer {
			words = append(words, &networks[i].Name)
		}
	}
	for _, ns := range namespaces {
		words = append(words, &ns.Container)
	}
	for i := range from {
		words = append(words, &from[i].Container)
	}
	return words
}

// peerWordsOf are those of a container.
func peerWordsOf(c *spec.Container) []*string {
	return peerWords(c.Networks, namespacesOf(c), c.VolumesFrom)
}

// peerWordsOfPod are those of a pod.
func peerWordsOfPod(p *spec.Pod) []*string {
	return peerWords(p.Networks, []namespace{{"pid", "pid", &p.PIDNS}, {"uts", "uts", &p.UTSNS}}, p.VolumesFrom)
}

// nameContainers puts the names of containers where a command line has those of their services: the
// later starts of who shares something with them, and the search for dependents, go by the former.
func (e *Engine) nameContainers(words []*string) error {
	for _, word := range words {
		if *word == "" {
			continue
		}
		if _, err := e.Containers.Lookup(*word); !errors.Is(err, container.ErrNotFound) {
			continue // or who joins it says what is wrong
		}
		r, err := e.Find(*word)
		switch {
		case errors.Is(err, container.ErrNotFound):
			continue
		case err != nil:
			return err
		case *word != serviceFile(*word):
			e.Warn(fmt.Sprintf("there is no container %s: %s is joined, that of %s; name one of the two if it is meant", *word, r.Name, serviceFile(*word)))
		}
		*word = r.Name
	}
	return nil
}

// peers finds the containers whose namespaces are joined. Those need not run.
func (e *Engine) peers(namespaces ...namespace) (container.Peers, error) {
	peers := container.Peers{}
	for _, ns := range namespaces {
		if ns.Mode != "container" {
			continue
		}
		var err error
		if peers[ns.kind], err = e.peer(ns.flag, ns.Container); err != nil {
			return nil, err
		}
	}
	return peers, nil
}

// peer finds the container that container:NAME means, as the value of a flag.
func (e *Engine) peer(flag, name string) (container.Record, error) {
	r, err := e.Containers.Lookup(name)
	if err != nil {
		err = fmt.Errorf("--%s container:%s: %w", flag, name, err)
	}
	return r, err
}
