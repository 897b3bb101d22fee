// SPDX-License-Identifier: Apache-2.0

package check

import (
	"strings"
	"testing"
)

// TestMissingPath: mkdir is the way out for what is a directory, and never for a file or a socket.
func TestMissingPath(t *testing.T) {
	for _, c := range []struct{ host, inside, want string }{
		{"/home/alice/media/downloads", "/downloads", "mkdir -p /home/alice/media/downloads"},
		{"/srv/my data", "/data", "mkdir -p '/srv/my data'"},
		{"/srv/it's", "/data", `mkdir -p '/srv/it'\''s'`},
		{"/srv/conf.d", "/etc/nginx/conf.d", "mkdir -p"},
		{"/srv/app-1.2", "/app", "mkdir -p"},
		{"/home/alice/.config", "/config", "mkdir -p"},
		{"/srv/example.com", "/var/www", "mkdir -p"},
		{"/srv/nginx.conf/", "/x", "mkdir -p"},
		{"/run/media/alice/disk", "/disk", "mkdir -p"},
		{"/srv/nginx.conf", "/etc/nginx/nginx.conf", "it looks like a file"},
		{"/srv/nginx", "/etc/nginx/nginx.conf", "it looks like a file"},
		{"/etc/localtime", "/etc/localtime", "it looks like a file"},
		{"/home/alice/app/.env", "/app/.env", "it looks like a file"},
		{"/home/alice/Caddyfile", "/etc/caddy/Caddyfile", "it looks like a file"},
		{"/srv/certs/site.PEM", "/cert", "it looks like a file"},
		{"/run/docker.sock", "/var/run/docker.sock", "it looks like a socket"},
		{"/run/user/1000/podman/podman.sock", "/sock", "it looks like a socket"},
		{"/var/run/dbus/system_bus_socket", "/s", "it looks like a socket"},
		{"/srv/mysqld", "/run/mysqld/mysqld.sock", "it looks like a socket"},
		{"/dev/dri", "/dev/dri", "the kernel makes it"},
	} {
		if got := missingPath(c.host, c.inside); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s at %s: %q, want %q", c.host, c.inside, got, c.want)
		}
	}
}

// TestMissingPlaces: each directory of the README's pod that is not there is told with its mkdir,
// in the words of the user.
func TestMissingPlaces(t *testing.T) {
	list := Check(files{
		"media.pod": "[Pod]\nPodName=media\n", "q.container": "[Container]\nImage=localhost/a\nPod=media.pod\nVolume=%h/config/q:/config\nVolume=%h/media:/m\nMount=type=bind,src=/srv/a.conf,dst=/etc/a.conf\n",
	}.inputs(), Options{Host: fakeHost()})
	want := map[string]string{
		"/q/q.container:4:8: warning: the host path /home/alice/config/q does not exist": "mkdir -p /home/alice/config/q",
		"/q/q.container:6:7: warning: the host path /srv/a.conf does not exist":          "it looks like a file: write it first, or correct the path",
	}
	for _, d := range list {
		if hint, ok := want[d.Place()]; !ok || hint != d.Hint {
			t.Errorf("said: %s (%s)", d.Place(), d.Hint)
		}
		delete(want, d.Place())
	}
	if len(want) > 0 {
		t.Errorf("not said: %v", want)
	}
}
