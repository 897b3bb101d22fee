// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/podunit/podunit/runner/spec"
)

// Image is what Resolve needs of an image.
type Image struct {
	Config v1.ImageConfig
	// LookUp finds the user ID of a name in the image's /etc/passwd. It is asked only for
	// runAsNonRoot with a name.
	LookUp func(user string) (uid int64, err error)
}

// Facts are what a pod learns of its machine when it runs.
type Facts struct {
	Name   string // of the pod
	UID    string
	Node   string // host name of the machine
	HostIP []string
	PodIP  []string
	// CPU is the number of cores and Memory the bytes that the machine has.
	CPU, Memory int64
	// Secret gives one value of a secret; the empty key is a secret that was stored as one value.
	Secret func(name, key string) ([]byte, error)
	// File reads a file of one of the pod's volumes, below the volume, following no link out of it.
	File func(volume, path string) ([]byte, error)
}

// Resolved is a container that is ready to be made.
type Resolved struct {
	// Spec has command, environment and user; its mounts are for the caller to add. Values of
	// secrets are not in its environment. With SecretWords its command holds some, because the
	// document put them there: it is then not to be recorded.
	Spec        spec.Container
	SecretWords bool
	// SecretEnv are variables that hold values of secrets; they are to reach the process, and no
	// record.
	SecretEnv map[string]string
	// Mounts are those of the container with $(NAME) expanded.
	Mounts []Mount
}

// LabelUID is the label of a container that has the UID of its pod.
const LabelUID = "io.kubernetes.pod.uid"

// NonRootError is the refusal to start as root what asked not to be.
type NonRootError struct {
	Container, User string
	Err             error // why the user could not be found out; nil if it is root
}

func (e *NonRootError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("container %s has runAsNonRoot, and its user %q cannot be checked: %v", e.Container, e.User, e.Err)
	}
	return fmt.Sprintf("container %s has runAsNonRoot, and its image runs as root", e.Container)
}

// Unwrap gives the cause.
func (e *NonRootError) Unwrap() error { return e.Err }

// Hint is the way out.
func (e *NonRootError) Hint() string { return "set securityContext.runAsUser to the number of a user" }

// Resolve adds to a container what depends on its image and on the machine: command and
// environment with $(NAME) expanded as Kubernetes does, the user, the paths of its mounts. The
// container is left as it is.
func (c *Container) Resolve(img Image, f Facts) (*Resolved, error) {
	out := &Resolved{Spec: c.Spec, SecretEnv: map[string]string{}}
	s := &out.Spec
	s.Labels = maps.Clone(c.Spec.Labels)
	if f.UID != "" {
		s.Labels[LabelUID] = f.UID
	}
	env, err := c.environment(f)
	if err != nil {
		return nil, err
	}
	s.Env = map[string]string{}
	for name, v := range env {
		if v.secret {
			out.SecretEnv[name] = v.text
		} else {
			s.Env[name] = v.text
		}
	}
	c.words(out, env, img)
	if out.Mounts, err = c.expandMounts(env); err != nil {
		return nil, err
	}
	s.User = c.user(img.Config.User)
	if c.NonRoot {
		if err := c.nonRoot(img); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// ResolveMounts gives the mounts of a container with $(NAME) expanded.
func (c *Container) ResolveMounts(f Facts) ([]Mount, error) {
	env, err := c.environment(f)
	if err != nil {
		return nil, err
	}
	return c.expandMounts(env)
}

func (c *Container) expandMounts(env map[string]known) ([]Mount, error) {
	out := slices.Clone(c.Mounts)
	for i, m := range out {
		if !m.Expand {
			continue
		}
		var err error
		if out[i].SubPath, err = subPath(m, env); err != nil {
			return nil, fmt.Errorf("container %s: mount at %s: %w", c.Name, m.Path, err)
		}
		out[i].Expand = false
	}
	return out, nil
}

// known is a variable that has its value; secret says that it holds one.
type known struct {
	text   string
	secret bool
}

func subPath(m Mount, env map[string]known) (string, error) {
	var missing []string
	p := Expand(m.SubPath, func(name string) (string, bool) {
		v, ok := env[name]
		if !ok {
			missing = append(missing, name)
		}
		return v.text, ok
	})
	if len(missing) > 0 {
		return "", fmt.Errorf("subPathExpr: there is no variable %s", strings.Join(missing, ", "))
	}
	if !Below(p) {
		return "", errors.New("subPathExpr leads out of the volume, or is empty")
	}
	return p, nil
}

// environment gives the variables their values, in order: later ones are stronger, and see the
// earlier ones.
func (c *Container) environment(f Facts) (map[string]known, error) {
	env := map[string]known{}
	for _, v := range c.Process.Env {
		text, ok, err := v.resolve(f)
		if err != nil {
			return nil, fmt.Errorf("container %s: variable %s: %w", c.Name, v.Name, err)
		}
		if !ok {
			continue
		}
		value := known{text: text, secret: v.Secret != nil}
		if v.Expand {
			value.text = Expand(text, func(name string) (string, bool) {
				k, ok := env[name]
				value.secret = value.secret || k.secret
				return k.text, ok
			})
		}
		env[v.Name] = value
	}
	return env, nil
}

// resolve finds the text of a value; false if it is missing and may be.
func (v Value) resolve(f Facts) (text string, ok bool, err error) {
	switch {
	case v.Secret != nil:
		if f.Secret == nil {
			return "", false, errors.New("there are no secrets")
		}
		data, err := f.Secret(v.Secret.Secret, v.Secret.Key)
		return string(data), err == nil, err
	case v.Fact != "":
		return f.fact(v.Fact), true, nil
	case v.Capacity != nil:
		amount := f.Memory
		if v.Capacity.Resource == "cpu" {
			amount = f.CPU
		}
		text, err := divided(amount, v.Capacity.Divisor)
		return text, true, err
	case v.File != nil:
		return v.File.resolve(f)
	}
	return v.Text, true, nil
}

func (k *FileKey) resolve(f Facts) (string, bool, error) {
	if f.File == nil {
		return "", false, errors.New("there are no files")
	}
	data, err := f.File(k.Volume, k.Path)
	if err != nil {
		if k.Optional {
			return "", false, nil
		}
		return "", false, err
	}
	for line := range strings.Lines(string(data)) {
		name, value, found := strings.Cut(strings.TrimSpace(line), "=")
		if !found || strings.HasPrefix(name, "#") || strings.TrimSpace(name) != k.Key {
			continue
		}
		value = strings.TrimSpace(value)
		if len(value) > 1 && value[0] == '\'' && value[len(value)-1] == '\'' {
			value = value[1 : len(value)-1]
		}
		return value, true, nil
	}
	if k.Optional {
		return "", false, nil
	}
	return "", false, fmt.Errorf("file %s of volume %s has no variable %s", k.Path, k.Volume, k.Key)
}

// Content gives the content of a file of a volume.
func (f File) Content(facts Facts) ([]byte, error) {
	if len(f.Data) > 0 {
		return f.Data, nil
	}
	text, _, err := f.Value.resolve(facts)
	return []byte(text), err
}

func (f Facts) fact(name string) string {
	first := func(list []string) string {
		if len(list) == 0 {
			return ""
		}
		return list[0]
	}
	switch name {
	case FactName:
		return f.Name
	case FactUID:
		return f.UID
	case FactNode:
		return f.Node
	case FactHostIP:
		return first(f.HostIP)
	case FactHostIPs:
		return strings.Join(f.HostIP, ",")
	case FactPodIP:
		return first(f.PodIP)
	case FactPodIPs:
		return strings.Join(f.PodIP, ",")
	}
	return ""
}

// words sets command and arguments. The image's own words are left untouched. Variables of the
// image are known too, which Kubernetes cannot do.
func (c *Container) words(out *Resolved, env map[string]known, img Image) {
	image := map[string]string{}
	for _, kv := range img.Config.Env {
		name, v, _ := strings.Cut(kv, "=")
		image[name] = v
	}
	look := func(name string) (string, bool) {
		if v, ok := env[name]; ok {
			out.SecretWords = out.SecretWords || v.secret
			return v.text, true
		}
		v, ok := image[name]
		return v, ok
	}
	all := func(words []string) []string {
		var list []string
		for _, w := range words {
			list = append(list, Expand(w, look))
		}
		return list
	}
	command, args := all(c.Process.Command), all(c.Process.Args)
	if len(command) > 0 {
		// The image's entrypoint and command are both gone, so the entrypoint is cleared and
		// everything is command.
		out.Spec.Entrypoint, out.Spec.Command = []string{}, append(command, args...)
	} else if len(args) > 0 {
		out.Spec.Command = args
	}
}

// Expand replaces $(NAME) by what look knows. Unknown names, and what is no name, stay as written;
// $$ is one $. Source: kubernetes.io, Define Dependent Environment Variables.
func Expand(s string, look func(string) (string, bool)) string {
	if !strings.Contains(s, "$") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '$' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		switch s[i+1] {
		case '$':
			b.WriteByte('$')
			i++
		case '(':
			end := strings.IndexByte(s[i+2:], ')')
			if end < 0 {
				b.WriteString("$(")
				i++
				continue
			}
			name := s[i+2 : i+2+end]
			if v, ok := look(name); ok {
				b.WriteString(v)
			} else {
				b.WriteString("$(" + name + ")")
			}
			i += 2 + end
		default:
			b.WriteByte('$')
		}
	}
	return b.String()
}

// user is the user to run as, USER[:GROUP]; empty leaves it to the image.
func (c *Container) user(image string) string {
	user, group, _ := strings.Cut(image, ":")
	if c.UserSet != nil {
		// The group of the image belongs to the image's user.
		user, group = strconv.FormatInt(*c.UserSet, 10), ""
	}
	if c.GroupSet != nil {
		group = strconv.FormatInt(*c.GroupSet, 10)
		if user == "" {
			user = "0"
		}
	}
	switch {
	case c.UserSet == nil && c.GroupSet == nil:
		return ""
	case group == "":
		return user
	}
	return user + ":" + group
}

// nonRoot refuses user 0.
func (c *Container) nonRoot(img Image) error {
	user, _, _ := strings.Cut(img.Config.User, ":")
	if c.UserSet != nil {
		user = strconv.FormatInt(*c.UserSet, 10)
	}
	if user == "" {
		user = "0"
	}
	uid, err := strconv.ParseInt(user, 10, 64)
	if err != nil {
		if img.LookUp == nil {
			return &NonRootError{c.Name, user, errors.New("the image was not looked at")}
		}
		if uid, err = img.LookUp(user); err != nil {
			return &NonRootError{c.Name, user, err}
		}
	}
	if uid == 0 {
		return &NonRootError{c.Name, user, nil}
	}
	return nil
}

// Spec is the mount as run knows it, with source as the place of the volume on this machine,
// SubPath already applied.
func (m Mount) Spec(source string) spec.Mount {
	out := spec.Mount{Type: spec.MountBind, Source: source, Destination: m.Path, Relabel: m.Relabel, Chown: m.Chown, Options: []string{"rbind", m.Propagation}}
	if m.ReadOnly {
		out.Options = append(out.Options, "ro")
	}
	if m.RecursiveReadOnly == "Enabled" {
		out.Options = append(out.Options, "rro") // the runtime fails where the kernel cannot
	}
	for _, o := range m.Options {
		switch o {
		case "O":
			out.Overlay = true
		case "nocopy":
			out.NoCopy = true
		default:
			out.Options = append(out.Options, o)
		}
	}
	return out
}

// Secret finds a value of one of the plan's own secrets.
func (p *Plan) Secret(name, key string) ([]byte, bool) {
	for _, s := range p.Secrets {
		if s.Name == name {
			v, ok := s.Data[key]
			return v, ok
		}
	}
	return nil, false
}

// Below tells whether a path stays below where it starts: relative, and without "..".
func Below(s string) bool {
	return s != "" && !path.IsAbs(s) && !slices.Contains(strings.Split(s, "/"), "..")
}
