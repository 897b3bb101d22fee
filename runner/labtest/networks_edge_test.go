// SPDX-License-Identifier: Apache-2.0

//go:build lab

package labtest

import (
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/contrib/lab/labtest"
)

// edge is a reverse proxy that takes its sockets from systemd: /NAME is what http://NAME/ answers.
const edge = `import http.server, os, socket, threading, urllib.request
class Edge(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            body = urllib.request.urlopen("http://" + self.path.split("/")[1] + "/name", timeout=10).read()
        except Exception as e:
            body = str(e).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)
class Server(http.server.ThreadingHTTPServer):
    def __init__(self, fd):
        super().__init__(None, Edge, False)
        self.socket.close()
        self.socket = socket.socket(fileno=fd)
assert int(os.environ["LISTEN_PID"]) == os.getpid()
for fd in range(3, 3 + int(os.environ["LISTEN_FDS"])):
    threading.Thread(target=Server(fd).serve_forever).start()
`

// serving has a container answer with its name.
func serving(name, keys string) string {
	return "[Container]\nContainerName=" + name + "\nImage=localhost:5000/busybox\nExec=sh -c 'echo -n " + name + " >/tmp/name; exec httpd -f -p 80 -h /tmp'\nStopSignal=KILL\n" + keys + "[Install]\nWantedBy=default.target\n"
}

// edgeFiles are alice's: two applications, a database and a cache on an internal network, a pod.
var edgeFiles = map[string]string{
	"front.network":   "[Network]\nNetworkName=front\nSubnet=10.89.9.0/24\n[Install]\nWantedBy=default.target\n",
	"inner.network":   "[Network]\nNetworkName=inner\nInternal=true\n",
	"blog.container":  serving("blog", "Network=inner.network\nNetwork=front.network\n"),
	"shop.container":  serving("shop", "Network=inner.network\nNetwork=front.network:ip=10.89.9.77\n"),
	"db.container":    serving("db", "Network=inner.network\n"),
	"cache.container": serving("cache", "Network=inner.network\n"),
	"group.pod":       "[Pod]\nPodName=group\nNetwork=front.network\n[Install]\nWantedBy=default.target\n",
	"chat.container":  serving("chat", "Pod=group.pod\n"),
}

// edgeUnits are root's: the proxy on two ports of root's, which executes as alice.
var edgeUnits = map[string]string{
	"/etc/systemd/system/edge.socket":            "[Socket]\nListenStream=80\nListenStream=443\n[Install]\nWantedBy=sockets.target\n",
	"/etc/containers/systemd/edge.container":     "[Container]\nContainerName=edge\nImage=localhost:5000/busybox\nNetwork=front\nVolume=/usr:/usr:ro\nVolume=/home/alice/edge.py:/edge.py:ro\nExec=python3 /edge.py\nStopSignal=KILL\n[Service]\nUser=alice\n",
	"/etc/podunit-lab/podunit-1000.tmpfiles.txt": "d /run/podunit-user 0755 root root\nd /run/podunit-user/1000 0700 1000 1000\n",
}

// TestLabEdge has a user without rights serve ports 80 and 443 from a proxy that stands before
// applications on named networks, from the boot on.
func TestLabEdge(t *testing.T) {
	l := boot(t, labtest.Options{})
	l.MustRun("alice", "podunit pull -q "+image)
	l.WriteFile("alice", "edge.py", edge)
	for name, text := range edgeFiles {
		l.WriteFile("alice", ".config/containers/systemd/"+name, text)
	}
	for name, text := range edgeUnits {
		l.WriteFile("root", name, text)
	}
	l.MustRun("alice", "podunit check && systemctl --user daemon-reload && systemctl --user start blog")
	// The first unit of the system for her, while her networks are in use without it.
	l.MustRun("root", "systemctl daemon-reload && systemctl start edge.socket && { curl -s -m 5 http://127.0.0.1/; true; }")
	l.Eventually("root", "journalctl -b -u edge -o cat | grep -F 'the named networks of user 1000 are in use by containers of the runtime directory /run/user/1000' && journalctl -b -u edge -o cat | grep -F '/etc/tmpfiles.d/podunit-1000.conf'", time.Minute)
	l.MustRun("root", "systemctl stop edge.socket edge; mv /etc/podunit-lab/podunit-1000.tmpfiles.txt /etc/tmpfiles.d/podunit-1000.conf && systemctl enable -q edge.socket")
	l.Reboot()
	l.MustRun("root", neighbour)
	l.Active("alice", "blog", "shop", "db", "cache", "group-pod", "chat")
	for _, at := range []string{"http://192.0.2.1:80/", "http://[fd10::1]:443/"} {
		for path, want := range map[string]string{"blog": "blog", "shop": "shop", "group": "chat"} {
			l.Eventually("root", "ip netns exec neighbour curl -gs -m 20 "+at+path+" | grep -x "+want, time.Minute)
		}
	}
	l.Eventually("root", "journalctl -b -u edge -o cat | grep -q '^::ffff:192.0.2.2 ' && journalctl -b -u edge -o cat | grep -q '^fd10::2 '", time.Minute)
	for _, peer := range []string{"db", "cache"} {
		l.Eventually("alice", "podunit exec blog wget -qO- -T 10 http://"+peer+"/name | grep -x "+peer, time.Minute)
		if out, _, _ := l.Run("root", "ip netns exec neighbour curl -s -m 20 http://192.0.2.1/"+peer); out == peer {
			t.Errorf("the proxy, which is not on the internal network, reaches %s", peer)
		}
	}
	if got := l.MustRun("alice", "podunit exec shop ip -4 -o address show eth1 | grep -o 10.89.9.77/24"); got != "10.89.9.77/24" {
		t.Errorf("the fixed address: %s", got)
	}
	if ours, theirs := l.MustRun("alice", "podunit network ls"), l.MustRun("alice", "podman network ls"); ours != theirs || !strings.Contains(ours, "inner") {
		t.Errorf("podunit lists\n%sand podman\n%s", ours, theirs)
	}
	// Her network namespace is made again beneath all of them, the proxy too.
	l.MustRun("alice", "kill -9 $(systemctl --user show -P MainPID podunit-netns)")
	l.Eventually("root", "ip netns exec neighbour curl -gs -m 20 http://192.0.2.1/shop | grep -x shop", time.Minute)
	l.MustRun("root", "systemctl stop edge.socket edge")
	l.MustRun("alice", "systemctl --user stop blog shop db cache chat group-pod")
	l.Eventually("alice", "! systemctl --user is-active podunit-netns", time.Minute)
	l.Gone("root", "ls -A /run/podunit-user/1000/podunit/networks/connected; pgrep -a -u alice -x 'pasta|pasta.avx2|aardvark-dns|podunit-infra|podunit-netns'")
}
