// SPDX-License-Identifier: Apache-2.0

package secret

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"strings"
	"time"

	"github.com/podunit/podunit/runner/safe"
)

// Credstore is where a user keeps credentials for services. A user's manager before systemd 258
// neither looks there nor decrypts what its units load. Encrypted ones are decrypted by the service
// behind this socket, of the system, which can do that since 256. Source: systemd-creds(1),
// io.systemd.Credentials.
type Credstore struct {
	UID    int      // of the user, on the host
	Dirs   []string // those with the directories credstore and credstore.encrypted
	Socket string   // empty means systemd's
}

const credentialsSocket = "/run/systemd/io.systemd.Credentials"

// decryptWait is how long systemd may take. A TPM needs a second or two.
const decryptWait = 30 * time.Second

// maxCredential is how long a file of a credential may be, in bytes. Source: systemd.exec(5), which
// has 1 MiB for all of a unit; an encrypted one is in base64.
const maxCredential = 2 << 20

// NewCredstore looks where a user keeps credentials. Source: systemd.exec(5), ImportCredential= of
// a user's manager.
func NewCredstore(uid int, lookup func(string) (string, bool)) Credstore {
	c := Credstore{UID: uid}
	home, known := lookup("HOME")
	config, ok := lookup("XDG_CONFIG_HOME")
	if !ok && known {
		config, ok = filepath.Join(home, ".config"), true
	}
	if ok && filepath.IsAbs(config) {
		c.Dirs = append(c.Dirs, config)
	}
	if run, ok := lookup("XDG_RUNTIME_DIR"); ok && filepath.IsAbs(run) {
		c.Dirs = append(c.Dirs, run)
	}
	if known && filepath.IsAbs(home) {
		c.Dirs = append(c.Dirs, filepath.Join(home, ".local", "lib"))
	}
	return c
}

// Find returns the credential of a name; fs.ErrNotExist says that there is none.
func (c Credstore) Find(name string) ([]byte, error) {
	for _, dir := range c.Dirs {
		value, err := safe.ReadLinked(filepath.Join(dir, "credstore", name), maxCredential)
		if !errors.Is(err, fs.ErrNotExist) {
			return value, err
		}
		path := filepath.Join(dir, "credstore.encrypted", name)
		sealed, err := safe.ReadLinked(path, maxCredential)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		// The file is in base64, with lines; the message is without.
		value, err = c.decrypt(name, strings.Join(strings.Fields(string(sealed)), ""))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return value, nil
	}
	return nil, fs.ErrNotExist
}

// decrypt makes one call: a JSON object each way, ended by a zero byte. Source: https://varlink.org.
func (c Credstore) decrypt(name, blob string) ([]byte, error) {
	socket := c.Socket
	if socket == "" {
		socket = credentialsSocket
	}
	conn, err := net.DialTimeout("unix", socket, decryptWait)
	if err != nil {
		return nil, fmt.Errorf("systemd does not decrypt here, which takes version 256: %w", err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(decryptWait)); err != nil {
		return nil, err
	}
	call, err := json.Marshal(map[string]any{
		"method":     "io.systemd.Credentials.Decrypt",
		"parameters": map[string]any{"name": name, "blob": blob, "scope": "user", "uid": c.UID},
	})
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write(append(call, 0)); err != nil {
		return nil, err
	}
	answer, err := bufio.NewReader(conn).ReadBytes(0)
	if err != nil {
		return nil, err
	}
	var reply struct {
		Error      string
		Parameters struct{ Data string }
	}
	if err := json.Unmarshal(bytes.TrimSuffix(answer, []byte{0}), &reply); err != nil {
		return nil, err
	}
	if reply.Error != "" {
		return nil, fmt.Errorf("systemd says %s", reply.Error)
	}
	return base64.StdEncoding.DecodeString(reply.Parameters.Data)
}
