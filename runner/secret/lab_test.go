// SPDX-License-Identifier: Apache-2.0

//go:build lab

package secret

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/contrib/lab/labtest"
)

const labImage = "localhost:5000/busybox"

// TestLabSecret gives secrets and credentials to the containers of a user, of root, and of a system
// unit with User=.
func TestLabSecret(t *testing.T) {
	l := labtest.Boot(t, labtest.Options{})
	for _, w := range []struct{ user, systemctl, dir string }{
		{"alice", "systemctl --user", ".config/containers/systemd/"},
		{"root", "systemctl", "/etc/containers/systemd/"},
	} {
		t.Run(w.user+"/verbs", func(t *testing.T) { seeVerbs(t, l.For(t), w.user) })
		t.Run(w.user+"/in a container", func(t *testing.T) {
			l := l.For(t)
			give(t, l, w.user, w.systemctl, w.user, w.dir)
		})
	}
	t.Run("User=", func(t *testing.T) {
		l := l.For(t)
		// dave does not log in, and would have no directory for what runs.
		l.MustRun("root", "systemd-run --quiet --unit holds-1003 -p Requires=user-runtime-dir@1003.service -p After=user-runtime-dir@1003.service sleep infinity")
		give(t, l, "root", "systemctl", "dave", "/etc/containers/systemd/")
	})
	t.Run("encrypted for a user", func(t *testing.T) { seeEncrypted(t, l.For(t)) })
}

func seeVerbs(t *testing.T, l *labtest.Lab, user string) {
	id := l.MustRun(user, "printf s3cr3t | podunit secret create --label a=b one -")
	if len(id) != idLength {
		t.Errorf("its ID is %q", id)
	}
	if got := l.MustRun(user, "podman secret inspect --showsecret one | jq -r '.[0] | \"\\(.ID) \\(.SecretData) \\(.Spec.Labels.a) \\(.Spec.Driver.Name)\"'"); got != id+" s3cr3t b file" {
		t.Errorf("podman sees %q", got)
	}
	l.MustRun(user, "printf other | podman secret create two -")
	if got := l.MustRun(user, "podunit secret ls --format '{{.Name}} {{.Driver}} {{.CreatedAt}}'"); !strings.HasPrefix(got, "one file Less than a second ago") && !strings.HasPrefix(got, "one file ") || !strings.Contains(got, "\ntwo file ") {
		t.Errorf("ls: %q", got)
	}
	if got := l.MustRun(user, "podunit secret ls | head -1 | tr -s ' '"); got != "ID NAME DRIVER CREATED UPDATED" {
		t.Errorf("the heading is %q", got)
	}
	for script, want := range map[string]string{
		"podunit secret create one /etc/hostname 2>&1; echo $?":                                                              "podunit: error: one: secret name in use\n  hint: podunit secret create --replace one /etc/hostname\n125",
		"podunit secret create --ignore one /etc/hostname":                                                                   id,
		"podunit secret exists one; echo $?; podunit secret exists none; echo $?":                                            "0\n1",
		"podunit secret inspect one none 2>&1 >/dev/null; echo $?":                                                           "podunit: error: no secret with name or id \"none\": no such secret\n125",
		"podunit secret inspect one | grep -c s3cr3t; podunit secret inspect -f '{{.SecretData}}' --showsecret one":          "0\ns3cr3t",
		"V=x podunit secret create --env three V >/dev/null; podunit secret inspect --showsecret -f '{{.SecretData}}' three": "x",
		"podunit secret ls -q --filter name=^tw | wc -l":                                                                     "1",
		"podunit secret rm one; podunit secret rm -i one; podunit secret rm two three | wc -l":                               id + "\n2",
		"podman secret ls -q; podunit secret ls -nq":                                                                         "",
	} {
		if strings.Contains(script, "secret rm one") || strings.Contains(script, "-nq") {
			continue // at the end
		}
		if got, _, _ := l.Run(user, script); strings.TrimSuffix(got, "\n") != want {
			t.Errorf("%s\ngot  %q\nwant %q", script, got, want)
		}
	}
	if got := l.MustRun(user, "podunit secret rm one; podunit secret rm -i one; podunit secret rm two three | wc -l; podman secret ls -q; podunit secret ls -nq"); got != id+"\n2" {
		t.Errorf("rm: %q", got)
	}
}

// give has a unit of the manager of user, whose containers are runner's.
func give(t *testing.T, l *labtest.Lab, user, systemctl, runner, dir string) {
	// None of them in an argument, here or in the lab.
	l.WriteFile(runner, "values", "file-4711-value\nenv-4711-value\ncred-4711-value\nset-4711-value\nnew-4711-value\nseal-4711-value\n")
	l.MustRun(runner, "for i in file:1 env:2; do sed -n ${i#*:}p values | tr -d '\\n' | podunit secret create --replace ${i%:*} - >/dev/null; done; sed -n 3p values | tr -d '\\n' >cred; chmod 600 cred; podunit pull -q "+labImage)
	home := l.MustRun(runner, "echo ~")
	service := "[Service]\nLoadCredential=loaded:" + home + "/cred\n"
	sealed, setting := seal(l, user, runner, home)
	service += setting
	if runner != user {
		service += "User=" + runner + "\n"
	}
	l.WriteFile(user, dir+"given.container", "[Container]\nImage="+labImage+"\nContainerName=given\nNetwork=none\nStopSignal=KILL\nUser=33:44\nExec=sleep infinity\n"+
		"Secret=file\nSecret=file,target=/etc/other,uid=33,gid=44,mode=0440\nSecret=env,type=env,target=PASSWORD\nSecret=loaded,type=credential\nSecret=sealed,type=credential\nHealthCmd=test \"$PASSWORD\" = \"$(cat /tmp/env 2>/dev/null || echo \"$PASSWORD\")\" -a -n \"$PASSWORD\"\nHealthInterval=disable\n"+service)
	l.MustRun(user, systemctl+" daemon-reload && "+systemctl+" start given")
	// The service is up some milliseconds before the container's command has begun.
	begun := func() { l.Eventually(runner, "podunit exec given grep -q sleep /proc/1/cmdline", time.Minute) }
	begun()
	look := func(script string) string {
		return l.MustRun(runner, "podunit exec given sh -c '"+script+"'")
	}
	for script, want := range map[string]string{
		`cat /run/secrets/file; stat -c " %a %u %g" /run/secrets/file`:                                   "file-4711-value 444 0 0",
		`cat /etc/other; stat -c " %a %u %g" /etc/other`:                                                 "file-4711-value 440 33 44",
		`tr "\0" "\n" </proc/1/environ | grep PASSWORD; echo $PASSWORD`:                                  "PASSWORD=env-4711-value\nenv-4711-value",
		`cat $CREDENTIALS_DIRECTORY/loaded; stat -c " %a %u %g" $CREDENTIALS_DIRECTORY/loaded`:           "cred-4711-value 400 33 44",
		`echo $CREDENTIALS_DIRECTORY; ls $CREDENTIALS_DIRECTORY; stat -c "%a %u" $CREDENTIALS_DIRECTORY`: "/run/host/credentials\nloaded\nsealed\n500 33",
		`cat $CREDENTIALS_DIRECTORY/sealed; stat -c " %a %u %g" $CREDENTIALS_DIRECTORY/sealed`:           "seal-4711-value 400 33 44",
		`stat -f -c %T /run/secrets/file $CREDENTIALS_DIRECTORY`:                                         "tmpfs\ntmpfs",
		`touch $CREDENTIALS_DIRECTORY/x 2>/dev/null; echo $?`:                                            "1",
	} {
		if got := look(script); got != want {
			t.Errorf("%s\ngot  %q\nwant %q", script, got, want)
		}
	}
	if got := l.MustRun(runner, "podunit healthcheck run given; podunit inspect given | jq -r '.[0].Config.Env[]' | grep PASSWORD"); got != "PASSWORD="+Masked {
		t.Errorf("inspect shows %q", got)
	}
	if got := l.MustRun(runner, "podunit inspect -f '{{range .Config.Secrets}}{{.Name}} {{len .ID}} {{.UID}} {{.GID}} {{.Mode}};{{end}}' given"); got != "file 25 0 0 292;file 25 33 44 288;" {
		t.Errorf("inspect lists %q", got)
	}
	// Nowhere but in the store, in the files they came from and in the environment of the container.
	main := l.MustRun(user, systemctl+" show -P MainPID given")
	got := l.MustRun("root", fmt.Sprintf(`journalctl --sync; cd /; pattern=4711-valu; pattern="${pattern}e"
		journalctl -o export --no-pager | grep -a "$pattern" | head -3
		grep -a -l "$pattern" /proc/[0-9]*/cmdline 2>/dev/null; grep -a -l "$pattern" /proc/[0-9]*/environ 2>/dev/null | grep -v -x /proc/%s/environ
		find /run /tmp /var/lib/containers /etc /home/*/.local /home/*/.config /var/log -xdev -type f -size -20M -exec grep -a -l "$pattern" {} + 2>/dev/null | grep -v -E '/credentials/given.service/'
		for dir in /run/user/* /run; do find $dir -xdev -type f -size -20M -exec grep -a -l "$pattern" {} + 2>/dev/null; done | grep -v -E '/credentials/given.service/'
		true`, main))
	if got != "" {
		t.Errorf("values are found in\n%s", got)
	}
	// base64, too, in the store alone.
	got = l.MustRun("root", `v=$(printf env-4711-value | base64); for dir in /run /run/user/* /tmp /var/lib/containers /etc /home /root; do find $dir -xdev -type f -size -20M -exec grep -a -l "$v" {} + 2>/dev/null; done | grep -v /secrets/filedriver/secretsdata.json || true`)
	if got != "" {
		t.Errorf("encoded values are found in\n%s", got)
	}
	// A replaced one is in the next start, and what runs has what it had.
	l.MustRun(runner, "sed -n 5p values | tr -d '\\n' | podunit secret create --replace env - >/dev/null")
	if got := look(`echo $PASSWORD`); got != "env-4711-value" {
		t.Errorf("what runs has %q", got)
	}
	l.MustRun(user, systemctl+" restart given")
	begun()
	if got := look(`tr "\0" "\n" </proc/1/environ | grep PASSWORD; echo $PASSWORD`); got != "PASSWORD=new-4711-value\nnew-4711-value" {
		t.Errorf("the next start has %q", got)
	}
	l.MustRun(runner, "podunit secret rm -a >/dev/null")
	if _, _, code := l.Run(user, systemctl+" restart given"); code == 0 {
		t.Error("it starts without its secrets")
	}
	l.Eventually(user, systemctl+` status given | grep 'no secret with name or id "file": no such secret'`, time.Minute)
	l.MustRun(user, systemctl+" reset-failed given; rm "+dir+"given.container; "+systemctl+" daemon-reload")
	l.MustRun(runner, "rm values cred")
	l.MustRun(user, "rm "+sealed)
}

// seal makes an encrypted credential of the last value, for a manager that decrypts it, or where
// podunit finds it for a user. It returns the file, and what a service says of it.
func seal(l *labtest.Lab, user, runner, home string) (sealed, setting string) {
	sealed, how := home+"/.config/credstore.encrypted/sealed", "--user"
	if user == "root" {
		sealed, how = "/etc/sealed.cred", "--with-key=host"
		setting = "LoadCredentialEncrypted=sealed:" + sealed + "\n"
	}
	clear := l.MustRun(runner, "sed -n 6p values | tr -d '\\n' >clear; chmod 600 clear; echo ~/clear")
	l.MustRun(user, "mkdir -p $(dirname "+sealed+") && systemd-creds encrypt "+how+" --name=sealed "+clear+" "+sealed+" && rm "+clear)
	return sealed, setting
}

// seeEncrypted has a user's credential that only systemd can read, and no manager that hands it over.
func seeEncrypted(t *testing.T, l *labtest.Lab) {
	if _, stderr, code := l.Run("alice", "mkdir -p ~/.config/credstore.encrypted && printf sealed-value | systemd-creds encrypt --user --name=sealed - ~/.config/credstore.encrypted/sealed"); code != 0 {
		t.Skipf("systemd cannot encrypt here: %s", stderr)
	}
	if got := l.MustRun("alice", "podunit pull -q "+labImage+" >/dev/null; podunit run --rm --network none --secret sealed,type=credential "+labImage+" sh -c 'cat $CREDENTIALS_DIRECTORY/sealed'"); got != "sealed-value" {
		t.Errorf("got %q", got)
	}
	_, stderr, code := l.Run("alice", "podunit run --rm --network none --secret missing,type=credential "+labImage+" true")
	if code != 125 || !strings.Contains(stderr, "the unit has no credential missing\n  hint: write LoadCredential=missing:/path") {
		t.Errorf("status %d, %s", code, stderr)
	}
}
