// SPDX-License-Identifier: Apache-2.0

package store

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.podman.io/storage"
)

// TestChoice: what a command line says of the storage holds, and the rest is as the file says.
func TestChoice(t *testing.T) {
	file := func() storage.StoreOptions {
		return storage.StoreOptions{GraphRoot: "/g", RunRoot: "/r", GraphDriverName: "overlay", GraphDriverOptions: []string{"overlay.a=b"}, PullOptions: map[string]string{"x": "y"}}
	}
	yes := true
	for name, tc := range map[string]struct {
		choice Choice
		want   func(*storage.StoreOptions)
	}{
		"nothing":       {Choice{}, func(*storage.StoreOptions) {}},
		"the same root": {Choice{Root: "/g/"}, func(o *storage.StoreOptions) { o.GraphRoot = "/g/" }},
		"both places":   {Choice{Root: "/x", RunRoot: "/y"}, func(o *storage.StoreOptions) { o.GraphRoot, o.RunRoot = "/x", "/y" }},
		"another store": {Choice{Options: []string{"additionalimagestore=/i"}}, func(o *storage.StoreOptions) {
			o.GraphDriverOptions = append(o.GraphDriverOptions, "additionalimagestore=/i")
		}},
		"none before it": {Choice{Options: []string{"", "c=d"}}, func(o *storage.StoreOptions) { o.GraphDriverOptions = []string{"c=d"} }},
		"pulls":          {Choice{PullOptions: []string{"a=b", "c=d=e"}}, func(o *storage.StoreOptions) { o.PullOptions = map[string]string{"a": "b", "c": "d=e"} }},
		"the rest": {Choice{ImageStore: "/i", Driver: "vfs", Transient: &yes}, func(o *storage.StoreOptions) {
			o.ImageStore, o.GraphDriverName, o.TransientStore = "/i", "vfs", true
		}},
	} {
		got, want := file(), file()
		tc.choice.storage(&got)
		tc.want(&want)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	one, other := file(), file()
	Choice{Root: "/x"}.storage(&one)
	Choice{Root: "/z"}.storage(&other)
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	linked := storage.StoreOptions{GraphRoot: filepath.Join(dir, "storage"), RunRoot: "/r"}
	Choice{Root: filepath.Join(link, "storage")}.storage(&linked)
	if linked.RunRoot != "/r" {
		t.Errorf("the same storage by a link runs in %s", linked.RunRoot)
	}
	if filepath.Dir(one.RunRoot) != "/r" || one.RunRoot == other.RunRoot {
		t.Errorf("two storages run in %s and %s", one.RunRoot, other.RunRoot)
	}
}

// TestChosen: the environment carries it to the readers of both files.
func TestChosen(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(ChoiceVariable, "")
	t.Setenv("CONTAINERS_CONF", filepath.Join(dir, "containers.conf"))
	t.Setenv("CONTAINERS_STORAGE_CONF", filepath.Join(dir, "storage.conf"))
	for _, name := range []string{"containers.conf", "storage.conf"} {
		text := "[engine]\n"
		if name == "storage.conf" {
			text = "[storage]\ndriver = \"overlay\"\ngraphroot = \"/g\"\nrunroot = \"/r\"\n"
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := (Choice{Root: "/x", NetworkDir: "/n", CDIDirs: []string{"/c"}}).Carry(); err != nil {
		t.Fatal(err)
	}
	if o, err := Locate(Config{RunDir: dir}); err != nil || o.GraphRoot != "/x" {
		t.Errorf("%+v, %v", o, err)
	}
	conf, err := ReadConf(nil)
	if err != nil || conf.Network.NetworkConfigDir != "/n" || !reflect.DeepEqual(conf.Engine.CdiSpecDirs.Get(), []string{"/c"}) {
		t.Errorf("%+v, %v", conf, err)
	}
	t.Setenv(ChoiceVariable, "{")
	if _, err := Locate(Config{RunDir: dir}); err == nil || !strings.Contains(err.Error(), ChoiceVariable) {
		t.Errorf("garbage: %v", err)
	}
}
