// SPDX-License-Identifier: Apache-2.0

//go:build lab

package labtest

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// documented are the lines with which popular images tell people to run them, as their pages have
// them; docker is podunit. A path of the user's own is below his home, as the reader would put it,
// and a time zone or a secret is filled in.
var documented = []struct {
	name    string // of the container that runs then; empty for a command that ends
	image   string // with its registry
	command string
}{
	{"some-nginx", "docker.io/library/nginx", `docker run --name some-nginx -v $HOME/content:/usr/share/nginx/html:ro -d nginx`},
	{"some-redis", "docker.io/library/redis", `docker run --name some-redis -d redis redis-server --save 60 1 --loglevel warning`},
	{"some-postgres", "docker.io/library/postgres", `docker run --name some-postgres -e POSTGRES_PASSWORD=mysecretpassword -d postgres`},
	{"some-postgres2", "docker.io/library/postgres", `docker run -d --name some-postgres2 -e POSTGRES_PASSWORD=mysecretpassword -e PGDATA=/var/lib/postgresql/data/pgdata -v $HOME/content:/var/lib/postgresql/data postgres`},
	{"some-mysql", "docker.io/library/mysql:8", `docker run --name some-mysql -e MYSQL_ROOT_PASSWORD=my-secret-pw -d mysql:8`},
	{"some-mariadb", "docker.io/library/mariadb:latest", `docker run --detach --name some-mariadb --env MARIADB_USER=example-user --env MARIADB_PASSWORD=my_cool_secret --env MARIADB_ROOT_PASSWORD=my-secret-pw mariadb:latest`},
	{"some-mongo", "docker.io/library/mongo:7", `docker run --name some-mongo -d mongo:7`},
	{"my-apache-app", "docker.io/library/httpd:2.4", `docker run -dit --name my-apache-app -p 8080:80 -v "$PWD":/usr/local/apache2/htdocs/ httpd:2.4`},
	{"some-ghost", "docker.io/library/ghost", `docker run -d --name some-ghost -e NODE_ENV=development -e url=http://localhost:3001 -p 3001:2368 ghost`},
	{"some-rabbit", "docker.io/library/rabbitmq:3", `docker run -d --hostname my-rabbit --name some-rabbit rabbitmq:3`},
	{"my-memcache", "docker.io/library/memcached", `docker run --name my-memcache -d memcached memcached --memory-limit=64`},
	{"registry", "docker.io/library/registry:2", `docker run -d -p 5005:5000 --restart always --name registry registry:2`},
	{"grafana", "docker.io/grafana/grafana", `docker run -d --name=grafana -p 3000:3000 grafana/grafana`},
	{"prometheus", "docker.io/prom/prometheus", `docker run -d --name prometheus -p 127.0.0.1:9090:9090 -v $HOME/content:/etc/prometheus prom/prometheus`},
	{"node-exporter", "quay.io/prometheus/node-exporter:latest", `docker run -d --name node-exporter --net="host" --pid="host" -v "/:/host:ro,rslave" quay.io/prometheus/node-exporter:latest --path.rootfs=/host`},
	{"jellyfin", "docker.io/jellyfin/jellyfin", `docker run -d --name jellyfin --user 1000:1000 --net=host --volume $HOME/content:/config --volume $HOME/content:/cache --mount type=bind,source=$HOME/content,target=/media --restart=unless-stopped jellyfin/jellyfin`},
	{"homeassistant", "ghcr.io/home-assistant/home-assistant:stable", `docker run -d --name homeassistant --privileged --restart=unless-stopped -e TZ=Europe/Berlin -v $HOME/content:/config -v /run/dbus:/run/dbus:ro --network=host ghcr.io/home-assistant/home-assistant:stable`},
	{"vaultwarden", "docker.io/vaultwarden/server:latest", `docker run --detach --name vaultwarden --env DOMAIN="https://vw.domain.tld" --volume $HOME/content/:/data/ --restart unless-stopped --publish 127.0.0.1:8000:80 vaultwarden/server:latest`},
	{"minio", "quay.io/minio/minio", `docker run -d -p 9000:9000 -p 9001:9001 --name minio -v ~/content:/data -e "MINIO_ROOT_USER=ROOTNAME" -e "MINIO_ROOT_PASSWORD=CHANGEME123" quay.io/minio/minio server /data --console-address ":9001"`},
	{"uptime-kuma", "docker.io/louislam/uptime-kuma:1", `docker run -d --restart=always -p 3002:3001 -v uptime-kuma:/app/data --name uptime-kuma louislam/uptime-kuma:1`},
	{"qbittorrent", "lscr.io/linuxserver/qbittorrent:latest", `docker run -d --name=qbittorrent -e PUID=1000 -e PGID=1000 -e TZ=Etc/UTC -e WEBUI_PORT=8081 -p 8081:8081 -p 6881:6881 -p 6881:6881/udp -v $HOME/content:/config -v $HOME/content:/downloads --restart unless-stopped lscr.io/linuxserver/qbittorrent:latest`},
	{"", "docker.io/library/python:3", `docker run -i --rm --name my-running-script -v "$PWD":/usr/src/myapp -w /usr/src/myapp python:3 python your-daemon-or-script.py`},
	{"", "docker.io/library/node:20", `docker run --rm --name my-running-app -v "$PWD":/usr/src/app -w /usr/src/app node:20 node your-daemon-or-script.js`},
}

// standIn takes the place of the images, in the lab's registry: it does with the words what they do,
// runs on until it is stopped, or ends.
const standIn = `mkdir -p stand/in content; cat >stand/in/entry <<'END'
#!/bin/sh
echo "$@"
case $1 in python|node) exit 0 ;; esac
trap 'exit 0' TERM INT QUIT
while :; do sleep 0.2; done
END
chmod 755 stand/in/entry
c=$(podunit create localhost:5000/busybox) && podunit cp stand/in/entry $c:/entry &&
podunit commit -q -c 'ENTRYPOINT ["/entry"]' -c 'CMD ["serve"]' -c 'STOPSIGNAL SIGINT' -c 'EXPOSE 80' -c 'VOLUME /cache' $c localhost/stand-in && podunit rm $c
`

// documentedLines runs the lines of popular images' pages.
func documentedLines(t *testing.T, l *Lab, user string) {
	l = l.on(t)
	// Their names, wherever they lead to, lead to the lab's registry.
	conf := "unqualified-search-registries = [\"docker.io\"]\nshort-name-mode = \"disabled\"\n"
	for _, registry := range []string{"docker.io", "quay.io", "ghcr.io", "lscr.io"} {
		conf += fmt.Sprintf("[[registry]]\nprefix = %q\nlocation = \"localhost:5000/%s\"\ninsecure = true\n", registry, registry)
	}
	l.WriteFile(user, ".config/containers/registries.conf", conf+"[[registry]]\nlocation = \"localhost:5000\"\ninsecure = true\n")
	l.MustRun(user, standIn+"ln -sf $(command -v podunit) bin/docker")
	pushed := map[string]bool{}
	var names []string
	for _, d := range documented {
		if !pushed[d.image] {
			l.MustRun(user, "podunit push -q localhost/stand-in localhost:5000/"+d.image)
			pushed[d.image] = true
		}
		out, stderr, code := l.Run(user, "export PATH=~/bin:$PATH; cd; "+d.command)
		if code != 0 {
			t.Errorf("%s\nended with %d: %s", d.command, code, stderr)
			continue
		}
		if d.name == "" {
			continue
		}
		names = append(names, d.name)
		if got := l.MustRun(user, "podunit inspect -f '{{.State.Status}} {{.Id}}' "+d.name); got != "running "+strings.TrimSpace(out) {
			t.Errorf("%s\nprinted %s and gave %s", d.command, out, got)
		}
	}
	l.Eventually(user, "podunit logs minio | grep -x 'server /data --console-address :9001'", time.Minute)
	l.MustRun(user, "podunit rm -f "+strings.Join(names, " ")+"; rm ~/.config/containers/registries.conf")
}
