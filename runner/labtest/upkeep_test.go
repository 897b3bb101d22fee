// SPDX-License-Identifier: Apache-2.0

//go:build lab

package labtest

import (
	"regexp"
	"strings"
	"testing"
)

// upkeep is looking after a storage: a layer that lost a file is found, taken away and pulled
// again; and in the end everything goes.
func upkeep(t *testing.T, l *Lab) {
	const user = "alice"
	l = l.on(t)
	// What was pulled is whole, and so is the copy for other user IDs.
	l.MustRun(user, "podunit volume create kept; podunit run --rm --network none --userns keep-id localhost:5000/nginx true; podunit system check")
	l.MustRun(user, "podunit unshare sh -c 'rm ~/.local/share/containers/storage/overlay/*/diff/usr/sbin/nginx'")
	if out, _, code := l.Run(user, "podunit doctor"); code == 0 || !strings.Contains(out, "podunit doctor --repair") {
		t.Errorf("a layer that lost a file: status %d\n%s", code, out)
	}
	if out, _, code := l.Run(user, "podunit system check"); code == 0 {
		t.Errorf("system check finds nothing: %s", out)
	}
	// Each image comes again by its full name, once.
	out, _, code := l.Run(user, "podunit doctor --repair")
	if again := regexp.MustCompile(`pulled again: (\S+)\s*\n`).FindStringSubmatch(out); code != 0 || again == nil || again[1] != "localhost:5000/nginx:latest" {
		t.Errorf("a repair: status %d\n%s", code, out)
	}
	l.MustRun(user, "podunit system check; podunit image exists localhost:5000/nginx")
	if got := l.MustRun(user, "podunit run --rm --network none localhost:5000/nginx nginx -v 2>&1 | grep -o nginx/"); got != "nginx/" {
		t.Errorf("the image that was pulled again: %q", got)
	}
	out = l.MustRun(user, "podunit create --name idle localhost:5000/busybox >/dev/null; podunit system prune -f -a")
	for _, want := range []string{"Deleted Containers", "Deleted Images", "Total reclaimed space: "} {
		if !strings.Contains(out, want) {
			t.Errorf("system prune says no %q:\n%s", want, out)
		}
	}
	l.MustRun(user, "podunit volume exists kept; podunit pull -q localhost:5000/busybox; podunit run -d --name goes localhost:5000/busybox sleep 1000; podunit system reset -f")
	if got := l.MustRun(user, "podunit ps -aq; podunit pod ps -q; podunit images -q; podunit volume ls -q; systemctl --user list-units --plain --no-legend 'goes*'"); got != "" {
		t.Errorf("after a reset there is %q", got)
	}
	l.MustRun(user, "podunit run --rm --network none localhost:5000/busybox true")
}
