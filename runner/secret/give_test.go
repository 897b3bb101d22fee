// SPDX-License-Identifier: Apache-2.0

package secret

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/safe"
	"github.com/podunit/podunit/runner/spec"
	"golang.org/x/sys/unix"
)

func parsed(t *testing.T, words ...string) []spec.Secret {
	t.Helper()
	var all []spec.Secret
	for _, w := range words {
		one, err := spec.ParseSecret(w)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
	return all
}

func TestGather(t *testing.T) {
	source := Source{Store: New(t.TempDir()), Credentials: t.TempDir(), Find: func(name string) ([]byte, error) {
		switch name {
		case "sealed":
			return []byte("opened"), nil
		case "broken":
			return nil, errors.New("boom")
		}
		return nil, fs.ErrNotExist
	}}
	if _, err := source.Store.Create("db", []byte("hunter2"), Options{}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(source.Credentials, "loaded"), []byte("from the unit"), 0o400); err != nil {
		t.Fatal(err)
	}
	given, err := source.Gather(parsed(t, "db", "db,type=env,target=PW", "loaded,type=credential", "sealed,type=credential,target=other"))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(given.Env, map[string]string{"PW": "hunter2"}) {
		t.Errorf("variables %v", given.Env)
	}
	got := map[string]string{}
	for _, f := range given.Files {
		got[f.Target] = string(f.value)
	}
	want := map[string]string{"/run/secrets/db": "hunter2", "/run/host/credentials/loaded": "from the unit", "/run/host/credentials/other": "opened"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("files %v", got)
	}
	for word, want := range map[string]string{
		"none":                   `no secret with name or id "none": no such secret`,
		"none,type=credential":   "the unit has no credential none",
		"broken,type=credential": "credential broken: boom",
	} {
		if _, err := source.Gather(parsed(t, word)); err == nil || err.Error() != want {
			t.Errorf("%s: %v", word, err)
		}
	}
	source.Find, source.Credentials = nil, ""
	var missing *MissingCredentialError
	if _, err := source.Gather(parsed(t, "a,type=credential")); !errors.As(err, &missing) || !strings.Contains(missing.Hint(), "LoadCredential=a:") {
		t.Errorf("%v", err)
	}
}

// TestPlace puts files where no other thread sees them.
func TestPlace(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting takes root")
	}
	dir := filepath.Join(t.TempDir(), "secrets")
	given := Given{Files: []File{
		{spec.Secret{Name: "a", Type: spec.SecretMount, Target: "/run/secrets/a", UID: 5, GID: 6, Mode: 0o440}, []byte("one")},
		{spec.Secret{Name: "b", Type: spec.SecretCredential, Target: "/run/host/credentials/b", Mode: 0o400}, []byte("two")},
	}}
	own := Owners{UID: 100033, GID: 100044, Outside: func(uid, gid uint32) (int, int) { return 100000 + int(uid), 100000 + int(gid) }}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // it ends with the goroutine, and its mounts with it
		if err := errors.Join(unix.Unshare(unix.CLONE_NEWNS), unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")); err != nil {
			t.Logf("no mount namespace here: %v", err)
			done <- nil
			return
		}
		done <- func() error {
			binds, err := given.Place(dir, own)
			if err != nil {
				return err
			}
			want := []Bind{{filepath.Join(dir, "0"), "/run/secrets/a", false}, {filepath.Join(dir, "credentials"), "/run/host/credentials", true}}
			if !reflect.DeepEqual(binds, want) {
				t.Errorf("%+v", binds)
			}
			for path, want := range map[string]string{"0": "one 440 100005 100006", "credentials/b": "two 400 100033 100044"} {
				path = filepath.Join(dir, path)
				b, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				var st unix.Stat_t
				if err := unix.Stat(path, &st); err != nil {
					return err
				}
				if got := fmt.Sprintf("%s %o %d %d", b, st.Mode&0o7777, st.Uid, st.Gid); got != want {
					t.Errorf("%s: %s, want %s", path, got, want)
				}
			}
			var fsys unix.Statfs_t
			if err := unix.Statfs(dir, &fsys); err != nil || fsys.Type != unix.TMPFS_MAGIC {
				t.Errorf("file system %x, %v", fsys.Type, err)
			}
			if err := Remove(dir); err != nil {
				return err
			}
			left, err := os.ReadDir(dir)
			if len(left) > 0 {
				t.Errorf("left over: %v", left)
			}
			return errors.Join(err, Remove(dir))
		}()
	}()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("others see %v", left)
	}
}

// TestCredstore looks where a user keeps credentials, and asks a service that answers like systemd's.
func TestCredstore(t *testing.T) {
	home := t.TempDir()
	d := NewCredstore(1000, func(name string) (string, bool) { return home, name == "HOME" })
	config := filepath.Join(home, ".config")
	if want := []string{config, filepath.Join(home, ".local/lib")}; !slices.Equal(d.Dirs, want) {
		t.Fatalf("%v", d.Dirs)
	}
	d.Socket = filepath.Join(t.TempDir(), "s")
	if _, err := d.Find("a"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what is not there: %v", err)
	}
	for name, content := range map[string]string{"credstore.encrypted/a": "QUJD\nREVG\n", "credstore/plain": "as it is\n"} {
		name = filepath.Join(config, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, []byte(content), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mkfifo(filepath.Join(config, "credstore/pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := d.Find("plain"); err != nil || string(got) != "as it is\n" {
		t.Errorf("one that is not encrypted: %q, %v", got, err)
	}
	if _, err := d.Find("pipe"); !errors.Is(err, safe.ErrNotRegular) {
		t.Errorf("a pipe: %v", err)
	}
	if _, err := d.Find("a"); err == nil || !strings.Contains(err.Error(), "takes version 256") {
		t.Errorf("nobody there: %v", err)
	}
	listener, err := net.Listen("unix", d.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	asked := make(chan string, 2)
	answers := make(chan string, 2)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			call, _ := bufio.NewReader(conn).ReadString(0)
			asked <- strings.TrimSuffix(call, "\x00")
			fmt.Fprint(conn, <-answers, "\x00")
			conn.Close()
		}
	}()
	answers <- `{"parameters":{"data":"` + base64.StdEncoding.EncodeToString([]byte("opened")) + `"}}`
	if got, err := d.Find("a"); err != nil || string(got) != "opened" {
		t.Errorf("%q, %v", got, err)
	}
	var call struct {
		Method     string
		Parameters map[string]any
	}
	want := map[string]any{"name": "a", "blob": "QUJDREVG", "scope": "user", "uid": 1000.0}
	if err := json.Unmarshal([]byte(<-asked), &call); err != nil || call.Method != "io.systemd.Credentials.Decrypt" || !reflect.DeepEqual(call.Parameters, want) {
		t.Errorf("asked %+v, %v", call, err)
	}
	answers <- `{"error":"io.systemd.Credentials.BadFormat"}`
	if _, err := d.Find("a"); err == nil || !strings.Contains(err.Error(), "systemd says io.systemd.Credentials.BadFormat") {
		t.Errorf("%v", err)
	}
}
