// SPDX-License-Identifier: Apache-2.0

package image

import (
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/format"
	"github.com/podunit/podunit/runner/image/registry"
)

func TestImageRows(t *testing.T) {
	id := strings.Repeat("0123456789abcdef", 4)
	summaries := []registry.Summary{
		{ID: id, Names: []string{"localhost:5000/app:1", "docker.io/library/app@sha256:" + id}, Created: 100, Size: 4_260_000, Digest: "sha256:" + id},
		{ID: strings.Repeat("f", 64), Created: 200, Size: 1},
		{ID: strings.Repeat("e", 64), Names: []string{"docker.io/library/db@sha256:" + id}, Created: 300, Size: 1},
	}
	rows := imageRows(summaries, false)
	if err := sortImages(rows, "created"); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := format.Rows(&b, format.Table{Format: "{{.Repository}} {{.Tag}} {{.ID}} {{.Size}} {{.CreatedAt}}"}, rows); err != nil {
		t.Fatal(err)
	}
	want := `docker.io/library/db <none> eeeeeeeeeeee 1 B 1970-01-01 00:05:00 +0000 UTC
<none> <none> ffffffffffff 1 B 1970-01-01 00:03:20 +0000 UTC
localhost:5000/app 1 0123456789ab 4.26 MB 1970-01-01 00:01:40 +0000 UTC
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
	if got := imageRows(summaries, true)[0].ID(); got != "sha256:"+id {
		t.Errorf("whole ID: %s", got)
	}
	if err := sortImages(rows, "colour"); err == nil {
		t.Error("an unknown order is no error")
	}
}

func TestSplitPlatform(t *testing.T) {
	for text, want := range map[string]string{
		"linux/arm64": "linux|arm64|", "linux/arm/v7": "linux|arm|v7", "linux": "linux||", "": "", "/arm64": "", "a/b/c/d": "",
	} {
		o, a, v, err := splitPlatform(text)
		if got := o + "|" + a + "|" + v; err == nil && got != want || err != nil && want != "" {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
}

func TestCredentials(t *testing.T) {
	e := &cli.Env{}
	for _, c := range []struct{ creds, user, secret, fault string }{
		{"", "", "", ""},
		{"joe:se:cret", "joe", "se:cret", ""},
		{"joe:", "joe", "", ""},
		{"joe", "", "", "no terminal"},
		{":secret", "", "", "USER[:PASSWORD]"},
	} {
		user, secret, err := Credentials(e, c.creds)
		if user != c.user || secret != c.secret || (err == nil) != (c.fault == "") || err != nil && !strings.Contains(err.Error(), c.fault) {
			t.Errorf("%q: %q, %q, %v", c.creds, user, secret, err)
		}
	}
}
