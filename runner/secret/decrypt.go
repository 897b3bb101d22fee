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
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Decrypter asks systemd to decrypt the credentials of a user. A user's manager cannot decrypt what
// its units load before systemd 258; the service behind this socket, of the system, can since 256.
// Source: systemd-creds(1), io.systemd.Credentials.
type Decrypter struct {
	UID    int      // of the user, on the host
	Dirs   []string // where encrypted credentials lie
	Socket string   // empty means systemd's
}

const credentialsSocket = "/run/systemd/io.systemd.Credentials"

// decryptWait is how long systemd may take. A TPM needs a second or two.
const decryptWait = 30 * time.Second

// NewDecrypter looks where a user keeps encrypted credentials. Source: systemd.exec(5),
// ImportCredential=.
func NewDecrypter(uid int, lookup func(string) (string, bool)) Decrypter {
	d := Decrypter{UID: uid}
	config, ok := lookup("XDG_CONFIG_HOME")
	if home, known := lookup("HOME"); !ok && known {
		config, ok = filepath.Join(home, ".config"), true
	}
	if ok && filepath.IsAbs(config) {
		d.Dirs = append(d.Dirs, filepath.Join(config, "credstore.encrypted"))
	}
	if run, ok := lookup("XDG_RUNTIME_DIR"); ok && filepath.IsAbs(run) {
		d.Dirs = append(d.Dirs, filepath.Join(run, "credstore.encrypted"))
	}
	return d
}

// Decrypt returns the credential of a name; fs.ErrNotExist says that there is none.
func (d Decrypter) Decrypt(name string) ([]byte, error) {
	for _, dir := range d.Dirs {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		// The file is in base64, with lines; the message is without.
		blob := strings.Join(strings.Fields(string(b)), "")
		value, err := d.ask(name, blob)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Join(dir, name), err)
		}
		return value, nil
	}
	return nil, fs.ErrNotExist
}

// ask makes one call: a JSON object each way, ended by a zero byte. Source: https://varlink.org.
func (d Decrypter) ask(name, blob string) ([]byte, error) {
	socket := d.Socket
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
		"parameters": map[string]any{"name": name, "blob": blob, "scope": "user", "uid": d.UID},
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
