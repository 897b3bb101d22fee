// SPDX-License-Identifier: Apache-2.0

package unit

import (
	"errors"
	"testing"
)

func TestParseOwn(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       Own
	}{
		{"a user service", "0::/user.slice/user-1000.slice/user@1000.service/app.slice/web.service\n",
			Own{Name: "web.service", User: true, Cgroup: "/user.slice/user-1000.slice/user@1000.service/app.slice/web.service"}},
		{"the runner after the split", "0::/user.slice/user-1000.slice/user@1000.service/app.slice/web.service/runtime\n",
			Own{Name: "web.service", User: true, Cgroup: "/user.slice/user-1000.slice/user@1000.service/app.slice/web.service", Sub: "runtime"}},
		{"a user service in nested slices", "0::/user.slice/user-1000.slice/user@1000.service/a.slice/a-b.slice/x.service\n",
			Own{Name: "x.service", User: true, Cgroup: "/user.slice/user-1000.slice/user@1000.service/a.slice/a-b.slice/x.service"}},
		{"a system service", "0::/system.slice/web.service\n",
			Own{Name: "web.service", Cgroup: "/system.slice/web.service"}},
		{"a control process of a delegated system service", "0::/system.slice/web.service/.control\n",
			Own{Name: "web.service", Cgroup: "/system.slice/web.service", Sub: ".control"}},
		{"an instance", "0::/system.slice/system-web.slice/web@a.service\n",
			Own{Name: "web@a.service", Cgroup: "/system.slice/system-web.slice/web@a.service"}},
		{"a login session", "0::/user.slice/user-1000.slice/session-3.scope\n",
			Own{Name: "session-3.scope", Cgroup: "/user.slice/user-1000.slice/session-3.scope"}},
		{"the user manager itself", "0::/user.slice/user-1000.slice/user@1000.service/init.scope\n",
			Own{Name: "init.scope", User: true, Cgroup: "/user.slice/user-1000.slice/user@1000.service/init.scope"}},
		{"a cgroup nobody declared, below the user manager", "0::/user.slice/user-1000.slice/user@1000.service/odd\n",
			Own{Name: "user@1000.service", Cgroup: "/user.slice/user-1000.slice/user@1000.service", Sub: "odd"}},
		{"the root", "0::/\n", Own{Cgroup: "/"}},
		{"no unit at all", "0::/machine/one\n", Own{Cgroup: "/", Sub: "machine/one"}},
		{"v1 hierarchies beside it", "4:memory:/x\n1:name=systemd:/y\n0::/system.slice/a.service\n",
			Own{Name: "a.service", Cgroup: "/system.slice/a.service"}},
		{"a name the kernel could mistake for its own", "0::/system.slice/_cgroup.service\n",
			Own{Name: "cgroup.service", Cgroup: "/system.slice/_cgroup.service"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseOwn(tt.text)
			if err != nil || got != tt.want {
				t.Errorf("got  %+v, %v\nwant %+v", got, err, tt.want)
			}
		})
	}
	if _, err := parseOwn("1:name=systemd:/\n"); !errors.Is(err, errNoCgroup2) {
		t.Errorf("without v2: %v", err)
	}
}
