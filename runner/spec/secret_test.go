// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func TestSecret(t *testing.T) {
	for in, want := range map[string]Secret{
		"db":                       {Name: "db", Type: SecretMount, Target: "/run/secrets/db", Mode: 0o444},
		"source=db,type=mount":     {Name: "db", Type: SecretMount, Target: "/run/secrets/db", Mode: 0o444},
		"db,target=sub/x,mode=400": {Name: "db", Type: SecretMount, Target: "/run/secrets/sub/x", Mode: 0o400},
		"db,target=/etc/db,uid=5,gid=6,mode=0640": {Name: "db", Type: SecretMount, Target: "/etc/db", UID: 5, GID: 6, Mode: 0o640},
		"db,type=env":                   {Name: "db", Type: SecretEnv, Target: "db"},
		"db,type=env,target=PGPASSWORD": {Name: "db", Type: SecretEnv, Target: "PGPASSWORD"},
		"db,type=credential":            {Name: "db", Type: SecretCredential, Target: "/run/host/credentials/db", Mode: 0o400},
		`"a b",type=mount`:              {Name: "a b", Type: SecretMount, Target: "/run/secrets/a b", Mode: 0o444},
		"db,type=credential,dst=a":      {Name: "db", Type: SecretCredential, Target: "/run/host/credentials/a", Mode: 0o400},
	} {
		got, err := ParseSecret(in)
		if err != nil || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", in, got, err, want)
		}
	}
	for in, want := range map[string]string{
		"":                                 "comma-separated",
		"type=env":                         "the name of the secret is missing",
		"a/b":                              "holds a comma, a slash",
		"db,type=file":                     `"file" is not a type`,
		"db,type=env,type=env":             "type= is given twice",
		"db,source=b":                      "source= is given twice",
		"db,colour=red":                    `"colour" is not an option`,
		"db,uid":                           `"uid" has no value`,
		"db,type=env,uid=5":                "uid= is for type=mount, not for type=env",
		"db,type=env,mode=0400":            "mode= is for type=mount, not for type=env",
		"db,type=credential,gid=5":         "gid= is for type=mount, not for type=credential",
		"db,type=credential,target=/etc/a": "target= of a credential is a name",
		"db,mode=999":                      "is not a number in mode=",
		"db,uid=alice":                     "is not a number in uid=",
		"db,target=":                       "target= is empty",
		strings.Repeat("a", 254):           "up to 253 bytes",
	} {
		if got, err := ParseSecret(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %+v, %v, want %q", in, got, err, want)
		}
	}
}

// TestCheck makes containers and pods without a command line.
func TestCheck(t *testing.T) {
	valid := func() Container {
		c := Defaults()
		c.Image = "x"
		return c
	}
	c := valid()
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	said, err := parseContainer("--http-proxy=false", "x")
	if err != nil {
		t.Fatal(err)
	}
	said.Labels, said.Command = map[string]string{}, nil
	if !reflect.DeepEqual(&c, said) {
		t.Errorf("without flags run means\n%+v\nand Defaults is\n%+v", said, &c)
	}
	for want, change := range map[string]func(*Container){
		"the image is missing":   func(c *Container) { c.Image = "" },
		"exclude each other":     func(c *Container) { c.Remove, c.Restart.Policy = true, "always" },
		"--replace needs --name": func(c *Container) { c.Replace = true },
		"--publish belongs to the pod": func(c *Container) {
			c.Pod, c.Publish = "p", []PortMapping{{ContainerPort: 80, Range: 1, Protocol: "tcp"}}
		},
		"--dns belongs to the pod": func(c *Container) { c.Pod, c.DNS = "p", []string{"1.1.1.1"} },
		"/a is mounted on twice: b:/a and tmpfs /a": func(c *Container) {
			c.Mounts = []Mount{{Type: MountVolume, Source: "b", Destination: "/a"}, {Type: MountTmpfs, Destination: "/a"}}
		},
		"--secret: a and b both go to /run/secrets/x": func(c *Container) {
			c.Secrets = []Secret{{Name: "a", Type: SecretMount, Target: "/run/secrets/x"}, {Name: "b", Type: SecretMount, Target: "/run/secrets//x"}}
		},
		"--secret a and a mount both go to /x": func(c *Container) {
			c.Secrets, c.Mounts = []Secret{{Name: "a", Type: SecretMount, Target: "/x"}}, []Mount{{Type: MountTmpfs, Destination: "/x"}}
		},
		`"A=B" is not the name of a variable`: func(c *Container) { c.Secrets = []Secret{{Name: "a", Type: SecretEnv, Target: "A=B"}} },
	} {
		c := valid()
		change(&c)
		if err := c.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	p := PodDefaults()
	if err := p.Check(); err != nil {
		t.Error(err)
	}
	p.Infra = false
	if err := p.Check(); err == nil || !strings.Contains(err.Error(), "--infra=false and --share exclude each other") {
		t.Error(err)
	}
	c = valid()
	c.Networks, c.Publish = []Network{{Mode: NetHost}}, []PortMapping{{ContainerPort: 80, Range: 1, Protocol: "tcp"}}
	if err, again := c.Check(), c.Check(); err != nil || again != nil || len(c.Warnings) != 1 {
		t.Errorf("%v, %v, warnings %q", err, again, c.Warnings)
	}
}

// TestRedact has command lines as a record keeps them.
func TestRedact(t *testing.T) {
	for in, want := range map[string]string{
		"podunit run --creds me:pw x":                                     "podunit run --creds ******* x",
		"podunit run --creds=me:pw x":                                     "podunit run --creds=******* x",
		"podunit --log-level debug run --rm --creds me:pw -it x":          "podunit --log-level debug run --rm --creds ******* -it x",
		"podunit container create -e A=b -v /a:/b -ite C --creds me:pw x": "podunit container create -e A=b -v /a:/b -ite C --creds ******* x",
		"podunit run -p80:80 --rm --name --creds --creds me:pw x":         "podunit run -p80:80 --rm --name --creds --creds ******* x",
		"podunit run --net host --tls-verify --creds me:pw x":             "podunit run --net host --tls-verify --creds ******* x",
		"podunit run x mysql --creds me:pw":                               "podunit run x mysql --creds me:pw",
		"podunit run --env PW=a -- x --creds=a":                           "podunit run --env PW=a -- x --creds=a",
		"podunit run --unknown --creds me:pw x":                           "podunit run --unknown --creds ******* x",
		"podunit run --creds":                                             "podunit run --creds",
		"podunit pod create --name a":                                     "podunit pod create --name a",
		"podunit":                                                         "podunit",
	} {
		args := strings.Fields(in)
		if got := strings.Join(Redact(args), " "); got != want {
			t.Errorf("%s\nbecomes %s\nnot     %s", in, got, want)
		}
		if strings.Join(args, " ") != in {
			t.Errorf("%s: the words themselves were changed", in)
		}
	}
	c, err := parseContainer("--creds", "me:pw", "x")
	if err != nil {
		t.Fatal(err)
	}
	if data, err := json.Marshal(c); err != nil || strings.Contains(string(data), "pw") {
		t.Errorf("%s, %v", data, err)
	}
}

// TestOneFlag has single values of flags taken or refused.
func TestOneFlag(t *testing.T) {
	for _, tc := range []struct {
		pod               bool
		flag, value, want string
	}{
		{false, "publish", "8080:80", ""},
		{false, "net", "host", ""},
		{false, "volume", "./a:/b:ro", ""},
		{false, "secret", "a,type=env", ""},
		{false, "health-interval", "30s", ""},
		{false, "publish", "80:http", `"http" is not a port from 1 to 65535; expected [[IP:]`},
		{false, "mount", "type=nfs,dst=/a", `"nfs" is not a type`},
		{false, "cap-add", "net_raw,net_rwa", `--cap-add "net_rwa"`},
		{false, "rm", "maybe", "neither true nor false"},
		{false, "rdt-class", "all", "cache allocation classes"},
		{false, "network", "web", ""},
		{false, "network", "web:ip=7", `"7" is not an IP address`},
		{false, "infra", "true", "unknown flag --infra"},
		{true, "share", "net,user", `"user" is not a namespace`},
		{true, "volume", "a:/b", ""},
	} {
		var err error
		if tc.pod {
			_, err = parsePod("--" + tc.flag + "=" + tc.value)
		} else {
			_, err = parseContainer("--"+tc.flag+"="+tc.value, "x")
		}
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("--%s %s: got %v, want %q", tc.flag, tc.value, err, tc.want)
		}
	}
}
