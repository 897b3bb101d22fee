// SPDX-License-Identifier: Apache-2.0

// Package update renews the images of services. It works on units, whether they run or not:
// it asks the registries which images are newer, pulls those, restarts the units that run them
// and watches how they do. A unit that does not do well goes back to its old image, and the
// digest that failed it is remembered.
//
// The package decides; the storage, the registries and the service manager are behind small
// interfaces, so that every decision has a unit test.
//
// A rollback does not move a name in the storage, because other units may do well with the new
// image under the same name. It notes that this unit is to run another image for now (see
// Held), and whoever starts the unit obeys.
package update

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/podunit/podunit/runner/image"
	"github.com/podunit/podunit/runner/ledger"
)

// Policy is what is to be done about newer images of a container.
type Policy string

// The policies. Source: podman-auto-update(1), io.containers.autoupdate; check and pull are
// podunit's own.
const (
	Disabled Policy = "disabled" // nothing
	Registry Policy = "registry" // pull and restart
	Local    Policy = "local"    // restart when the name means another image in the storage
	Check    Policy = "check"    // report, no more
	Pull     Policy = "pull"     // pull, and leave the restart to somebody else
)

// Labels of a container that say what is to be done. Source: podman-auto-update(1).
const (
	Label         = "io.containers.autoupdate"
	LabelAuthFile = "io.containers.autoupdate.authfile"
)

// ParsePolicy reads the value of the label. "image" is another word for registry, and an empty
// one for disabled.
func ParsePolicy(text string) (Policy, error) {
	switch p := Policy(text); p {
	case "":
		return Disabled, nil
	case "image":
		return Registry, nil
	case Disabled, Registry, Local, Check, Pull:
		return p, nil
	}
	return "", fmt.Errorf("invalid auto-update policy %q: valid policies are disabled, image, registry, local, check and pull", text)
}

// Target is one container of one unit.
type Target struct {
	Unit      string // the service that starts the container
	Container string // its name; it need not exist now
	ID        string // the container's, empty if it does not exist now
	Image     string // the reference that the unit asks for
	Policy    Policy
	Access           // how its registry is asked
	Runs      string // ID of the image that the container was made from; empty if there is none
	// StorageOnly is of a container whose policy is local where the settings allow no restart: the
	// storage tells whether there is something newer, and that is reported.
	StorageOnly bool
	// Ends is of a container that runs to its end, and is not restarted.
	Ends bool
	// Problem is why the container cannot be looked after, such as a policy that is none.
	Problem error
}

// Image is what the storage knows of an image.
type Image struct {
	ID       string          // 64 hexadecimal digits
	Digests  []digest.Digest // all manifests and indexes that it is known by
	Platform string          // os/arch[/variant]

	stored *image.Image // as it was read, if it was
}

// Images is the storage and the registries behind it.
type Images interface {
	// Local finds an image in the storage by its reference or ID; nil if it is not there.
	Local(reference string) (*Image, error)
	// Newer tells the digest that the registry has for the reference, and whether the image in the
	// storage, as Local has found it, is another one. It asks as little as it can, and downloads no
	// layer.
	Newer(ctx context.Context, q Question, local *Image) (Answer, error)
	// Pull gets what the registry has for the reference.
	Pull(ctx context.Context, q Question) (*Image, error)
	// Keep keeps an image from every prune, and Drop gives it free again. An image that others
	// use or that has a name of its own stays.
	Keep(id string) error
	Drop(id string) error
}

// fromStorage reports whether the storage alone says what is newer.
func (t Target) fromStorage() bool { return t.Policy == Local || t.StorageOnly }

// Access is how a registry is asked, where the container or its .image unit says that. Empty fields
// stand for what registries.conf says and for the usual credentials.
type Access struct {
	AuthFile  string
	CertDir   string
	Creds     string // USER:PASSWORD
	TLSVerify string // true or false
}

// Question is one thing to ask a registry: two targets with the same question are asked once.
type Question struct {
	Reference, Platform string
	Access
}

// Answer is what a registry says.
type Answer struct {
	Digest digest.Digest // of the manifest or index that it has now
	Newer  bool          // it is not what the storage has
}

// State is how a unit does.
type State struct {
	Active   string // systemd's ActiveState
	Restarts int    // by the manager itself, since somebody started it
	// Invocation is the manager's number of this run of the unit.
	Invocation string
	// Health is starting, healthy or unhealthy; empty for a container without a check.
	Health string
	// Window is the time in which the unit must start.
	Window time.Duration
	After  []string // units that it is ordered after
	// Gone says that the manager knows no such unit.
	Gone bool
	// Asked says that somebody has asked for a start, a stop or a restart that is not done yet.
	Asked bool
	// Ended says of an inactive unit that it has ended by itself; see Units.Ended.
	Ended bool
	// NeededBy are units that the manager takes down with this one, and raises with it.
	NeededBy []string
	// Refused says that the manager refused the last start, because there had been too many.
	Refused bool
	// Images are the IDs of the images that its containers run now, by their names.
	Images map[string]string
}

// runs reports whether the unit is meant to be up.
func (s State) runs() bool {
	return slices.Contains([]string{"active", "activating", "reloading", "failed"}, s.Active)
}

// refused reports whether the unit is down because it was started too often, and not by the manager
// itself, which has restarted it as often as before. That says nothing of its image.
func (s State) refused(restarts int) bool {
	return s.Active == "failed" && s.Refused && s.Restarts <= restarts
}

// Units is the service manager.
type Units interface {
	State(ctx context.Context, unit string) (State, error)
	// Restart restarts the unit and returns when it is up, or with the reason why it is not. An
	// error that says nothing of the unit is a HinderedError. Several units may be restarted at
	// once.
	Restart(ctx context.Context, unit string, k Known) error
	// Ended reports whether a unit that is inactive has ended by itself, and is not a job that
	// something such as a timer starts each time.
	Ended(ctx context.Context, unit string) (bool, error)
	// Remember describes what is gone when the unit ends, for the ledger; Restart makes it again
	// from there.
	Remember(ctx context.Context, unit string) (json.RawMessage, error)
	// Stopping reports whether the manager, or the machine, is going down.
	Stopping(ctx context.Context) bool
}

// Known is what the ledger knows of a unit that is to be restarted.
type Known struct {
	Made json.RawMessage // see Units.Remember
	Held []ledger.Held   // which images it is to run instead of others
}

// Instead is ledger.Ledger.Instead of the unit.
func (k Known) Instead(unit, reference, current string) string {
	return (&ledger.Ledger{Held: k.Held}).Instead(unit, reference, current)
}

// HinderedError is of a restart that did not take place, or that somebody else took over: it is no
// judgement on the image.
type HinderedError struct{ Err error }

func (e HinderedError) Error() string { return e.Err.Error() }

// Unwrap is for errors.Is and errors.As.
func (e HinderedError) Unwrap() error { return e.Err }

// Outcome is what became of a target, in podman's words.
type Outcome string

// The outcomes. Source: podman-auto-update(1), UPDATED.
const (
	Nothing    Outcome = "false"       // nothing to do
	Pending    Outcome = "pending"     // there is a newer image; it was not taken
	Updated    Outcome = "true"        // the unit runs the newer image
	RolledBack Outcome = "rolled back" // the unit runs the old image again
	Failed     Outcome = "failed"      // see the error
)

// Row is what is said of one target.
type Row struct {
	Unit          string
	Container     string // as podman prints it: the short ID and the name
	ContainerName string
	ContainerID   string
	Image         string
	Policy        string
	Updated       Outcome
	// What podman does not tell:
	Old    string        `json:",omitempty"` // ID of the image before
	New    string        `json:",omitempty"` // ID of the image afterwards
	Digest digest.Digest `json:",omitempty"` // of the newer image
	Note   string        `json:",omitempty"` // why nothing was done, or what is to be known
	Error  string        `json:",omitempty"`
}

func rowOf(t Target) Row {
	r := Row{
		Unit: t.Unit, ContainerName: t.Container, ContainerID: t.ID, Image: t.Image,
		Policy: string(t.Policy), Updated: Nothing, Old: t.Runs,
	}
	switch {
	case t.ID != "":
		r.Container = fmt.Sprintf("%s (%s)", t.ID[:min(12, len(t.ID))], t.Container)
	default:
		r.Container = fmt.Sprintf("(%s)", t.Container)
	}
	return r
}

// pinned reports whether a reference names its image by a digest, which never changes.
func pinned(reference string) bool { return strings.Contains(reference, "@") }

// Registry of a reference: the part before the first slash.
func registryOf(reference string) string {
	host, _, _ := strings.Cut(strings.TrimPrefix(reference, "docker://"), "/")
	return host
}
