// SPDX-License-Identifier: Apache-2.0

//go:build lab

package labtest

import (
	"strings"
	"testing"
	"time"
)

// realBuild has Debian's buildah build for podunit, by hand and for a unit, without root.
func realBuild(t *testing.T, l *Lab) {
	const user, dir = "alice", ".config/containers/systemd/"
	l = l.on(t)
	l.WriteFile(user, "context/Containerfile", "FROM localhost:5000/busybox\nARG WORD\nRUN echo $WORD >/made; id -u >>/made\nCMD [\"cat\", \"/made\"]\n")
	got := l.MustRun(user, "podunit pull -q localhost:5000/busybox >/dev/null; podunit build -q -t by-hand --file context/Containerfile --build-arg WORD=hand context >/dev/null && podunit run --rm by-hand")
	if got != "hand\n0" {
		t.Errorf("the image that was built says %q", got)
	}
	if got := l.MustRun(user, "cd /tmp; podunit build /nosuch 2>&1; echo $?"); got[max(0, len(got)-3):] != "125" {
		t.Errorf("a context that is not there: %s", got)
	}
	l.WriteFile(user, dir+"made.build", "[Build]\nImageTag=localhost/by-unit\nSetWorkingDirectory=%h/context\nPodmanArgs=--build-arg WORD=unit\n")
	l.WriteFile(user, dir+"made.container", "[Container]\nImage=made.build\n[Service]\nType=oneshot\n")
	l.MustRun(user, "systemctl --user daemon-reload; systemctl --user start made")
	l.Eventually(user, "journalctl --user -q -o cat -u made | grep -x unit", time.Minute)
	l.WriteFile(user, dir+"art.artifact", "[Artifact]\nArtifact=localhost:5000/alice/unit:1\n")
	l.MustRun(user, "podunit artifact add localhost:5000/alice/unit:1 context/Containerfile; podunit artifact push -q localhost:5000/alice/unit:1; podunit artifact rm -a")
	got = l.MustRun(user, "systemctl --user daemon-reload; systemctl --user start art-artifact; podunit artifact ls -n; podunit artifact extract localhost:5000/alice/unit:1 out; cmp out context/Containerfile")
	if !strings.HasPrefix(got, "localhost:5000/alice/unit ") {
		t.Errorf("an .artifact file gives %q", got)
	}
	// The container's unit has the artifact pulled.
	l.WriteFile(user, dir+"reads.container", "[Container]\nImage=localhost:5000/busybox\nNetwork=none\nMount=type=artifact,source=art.artifact,destination=/model\nExec=tail -n 1 /model\n[Service]\nType=oneshot\n")
	l.MustRun(user, "podunit artifact rm -a; systemctl --user stop art-artifact; systemctl --user daemon-reload; systemctl --user start reads")
	l.Eventually(user, `journalctl --user -q -o cat -u reads | grep -xF 'CMD ["cat", "/made"]'`, time.Minute)
	got = l.MustRun(user, `podunit run --rm --network none --userns keep-id --mount type=artifact,source=localhost:5000/alice/unit:1,destination=/etc,name=made localhost:5000/busybox sh -c 'head -n 1 /etc/made; echo x 2>/dev/null >/etc/made || id -u'`)
	if got != "FROM localhost:5000/busybox\n1000" {
		t.Errorf("an artifact in a directory: %q", got)
	}
	l.MustRun(user, "rm "+dir+"made.* "+dir+"reads.container "+dir+"art.artifact out; systemctl --user daemon-reload; podunit artifact rm -a; podunit rmi by-hand localhost/by-unit")
}
