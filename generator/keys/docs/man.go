// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/podunit/podunit/generator/keys"
)

// Man is the source of the manual page podunit.unit(5).
func Man() []byte {
	var b bytes.Buffer
	b.WriteString(manHead)
	for _, s := range keys.Sections() {
		name := "any file"
		if s.Ext != "" {
			name = "NAME" + s.Ext + ", which becomes NAME" + s.Suffix + ".service"
		}
		fmt.Fprintf(&b, ".SH \"THE [%s] SECTION\"\n%s In %s.\n", s.Name, roff(s.Doc), roff(name))
		for i := range s.Keys {
			k := &s.Keys[i]
			fmt.Fprintf(&b, ".TP\n.BI %s= %s\n%s\n", roff(k.Name), quoted(Value(k)), roff(k.Doc))
			var rest []string
			if k.Kind.Repeats() {
				rest = append(rest, "May be repeated.")
			}
			if len(k.Values) > 0 {
				rest = append(rest, "One of "+strings.Join(k.Values, ", ")+".")
			}
			if k.Default != "" {
				rest = append(rest, "Default: "+k.Default+".")
			}
			if k.Flag != "" {
				rest = append(rest, "Becomes "+strings.TrimSuffix(k.Flag, "=")+".")
			}
			if k.Deprecated != "" {
				rest = append(rest, "Deprecated, use "+k.Deprecated+".")
			}
			rest = append(rest, "Since Podman "+k.Since+".")
			b.WriteString(roff(strings.Join(rest, " ")) + "\n")
		}
	}
	b.WriteString(manTail)
	return b.Bytes()
}

// roff escapes text for the manual page.
func roff(s string) string {
	s = strings.ReplaceAll(s, `\`, `\e`)
	s = strings.ReplaceAll(s, "-", `\-`)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}

// quoted escapes an argument of a macro.
func quoted(s string) string { return `"` + strings.ReplaceAll(roff(s), `"`, `\(dq`) + `"` }

const manHead = `.\" SPDX-License-Identifier: Apache-2.0
.\" Written from the key table by: go run ./generator/keys/docs/write
.TH PODUNIT.UNIT 5 "" "podunit" "podunit"
.SH NAME
podunit.unit \- containers, pods, volumes, networks and images as systemd units
.SH SYNOPSIS
NAME.container, NAME.pod, NAME.kube, NAME.volume, NAME.network, NAME.image, NAME.build, NAME.artifact, NAME.quadlets
.SH DESCRIPTION
.BR podunit\-generator
reads these files at boot and at every
.BR "systemctl daemon\-reload" ,
and turns each into a service. They are written like other unit files, see
.BR systemd.syntax (7),
with one section of their own, as [Container]. Sections of systemd's, as [Unit] and [Service], pass into the service
unchanged; [Install] takes effect at daemon\-reload, nothing needs to be enabled. Files written for Podman's Quadlet work.
.SH FILES
System services, highest precedence first:
.IP
/run/containers/systemd, /etc/containers/systemd, /usr/share/containers/systemd
.PP
Services of users:
.IP
$XDG_RUNTIME_DIR/containers/systemd, ~/.config/containers/systemd, /etc/containers/systemd/users,
/etc/containers/systemd/users/UID, /usr/share/containers/systemd/users, /usr/share/containers/systemd/users/UID
.PP
Subdirectories are read as well. Of files with one name the first counts. An empty file, or a link to /dev/null, hides
those of its name.
.PP
Drop\-ins, NAME.container.d/*.conf and the like, are added to a file in the order of their names. For
web\-db@one.container they are looked for in web\-db@one.container.d, web\-db@.container.d, web\-@.container.d,
web\-.container.d and container.d, of all directories; of drop\-ins with one name the most specific counts.
.PP
A .quadlets file holds several units between lines of three dashes. Each has a comment
.IR "# FileName=NAME" ,
and its first section of a type above gives its extension.
.SH "FILES WITH ERRORS"
A file with an error does not vanish. Its service exists, fails to start, and
.B systemctl status
shows the file, line and column, what is wrong and how to mend it. So does the service of a file that needs it. All other
services are not affected. A unit without a name or a type in a .quadlets file fails all units of that file.
.B podunit check
shows all errors and warnings at once.
.PP
(Called with a single output directory, with PODMAN and QUADLET_UNIT_DIRS set, as Podman's own tests call a generator, the
service of a file with an error is left out, so is a drop\-in with an error, and two files may claim one service name.)
.SH NAMES AND REFERENCES
Other unit files are referred to by file name:
.IR Image=app.image ,
.IR Volume=data.volume:/data ,
.IR Network=front.network ,
.IR Pod=media.pod .
The service then starts after those it needs. Dependencies in [Unit] may name such files too. Templates are
referred to as they are called,
.IR Volume=data@.volume:/data .
.PP
Relative paths start from the directory of the unit file, where they begin with a dot, and always in
EnvironmentFile=, Yaml= and ConfigMap=. Specifiers, as %h and %t, and variables are left to systemd.
.SH SERVICES FOR A USER, WITHOUT A USER MANAGER
A system service with
.I User=
in [Service] runs rootless as that user. A pod then keeps its PID file in a
.I RuntimeDirectory=
of its own, %N unless the file names one, as /run itself belongs to root. The state of the user's containers lies in
.IR /run/podunit\-user/UID ,
which all these services have as a RuntimeDirectory= with RuntimeDirectoryPreserve=yes.
`

const manTail = `.SH "DIFFERENCES FROM PODMAN'S QUADLET"
Files for Podman work unchanged. Where Podman drops something without a word, podunit does not:
.IP \(bu 2
A file that cannot be read or parsed does not take its directory with it. It has a failing service, as any file with an
error; so has a file one of whose drop\-ins cannot be read or parsed, as a service must not run without what the drop\-in
may forbid it.
.IP \(bu 2
All errors are told, each with file, line and column. Two files that claim one service name are an error on both.
.IP \(bu 2
The service of a file that refers to one with an error fails, instead of running without what it needs.
.IP \(bu 2
An empty word in a command stays, as in Exec=echo "" x. The last line of a file counts also when it ends in a backslash.
.IP \(bu 2
The options in ExecStart= have a fixed order: the same files give the same services.
.IP \(bu 2
Values that are ignored, as those with unbalanced quotes or User=NAME in [Volume], are warned about.
.IP \(bu 2
Sections that nobody reads, as [Instal], are warned about. A file that has [container] and no [Container] is an error.
.IP \(bu 2
x@y.volume and x@y.network, instances with a file of their own, make systemd\-x\-y by default.
.IP \(bu 2
The users directory of the distribution is filtered as that of /etc. Without HOME the other directories are still read.
.IP \(bu 2
ServiceName= must be a name that systemd accepts.
.IP \(bu 2
The last lines of a container that fails are not lost: KillMode= of its service is control\-group, where Podman writes mixed.
With that, systemd kills the process that hands the lines to the journal. What [Service] says of KillMode= stays.
.SH ENVIRONMENT
.TP
.B QUADLET_UNIT_DIRS
Directories to read instead of the usual ones, absolute, separated by colons.
.TP
.B PODUNIT
Path of the runner in the services. Without it PODMAN is used, unless that names podman itself.
.TP
.B PODUNIT_GENERATOR
force: generate services also where Podman's own generator is installed. The same can be said with
.I Generator=force
in the [Generator] section of /etc/podunit/podunit.conf, /run/podunit/podunit.conf, /usr/lib/podunit/podunit.conf,
~/.config/podunit/podunit.conf, or of a drop\-in in podunit.conf.d. Their section [AutoUpdate], with the keys
.IR Policy= ", " HealthWindow= ", " Keep= ", " OnUpdate= " and " Jitter= ,
is of
.BR "podunit auto\-update" .
.SH EXAMPLE
.nf
# ~/.config/containers/systemd/web.container
[Container]
Image=docker.io/library/nginx:1.29
PublishPort=8080:80
Volume=%h/site:/usr/share/nginx/html:ro

[Service]
Restart=always

[Install]
WantedBy=default.target
.fi
.SH SEE ALSO
.BR podunit (1),
.BR systemd.unit (5),
.BR systemd.service (5),
.BR systemd.generator (7)
`
