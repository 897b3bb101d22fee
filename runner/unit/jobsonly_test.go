// SPDX-License-Identifier: Apache-2.0

package unit

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/godbus/dbus/v5"
)

// message is one of the manager's, as it goes over its socket.
func message(t *testing.T, order binary.ByteOrder, kind dbus.Type, path, member string, body ...any) []byte {
	t.Helper()
	m := &dbus.Message{Type: kind, Headers: map[dbus.HeaderField]dbus.Variant{}, Body: body}
	if kind == dbus.TypeSignal {
		m.Headers[dbus.FieldPath] = dbus.MakeVariant(dbus.ObjectPath(path))
		m.Headers[dbus.FieldInterface] = dbus.MakeVariant("org.freedesktop.systemd1.Manager")
		m.Headers[dbus.FieldMember] = dbus.MakeVariant(member)
	} else {
		m.Headers[dbus.FieldReplySerial] = dbus.MakeVariant(uint32(7))
		m.Headers[dbus.FieldErrorName] = dbus.MakeVariant("org.freedesktop.systemd1.NoSuchUnit")
	}
	if len(body) > 0 {
		m.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(body...))
	}
	var out bytes.Buffer
	if err := m.EncodeTo(&out, order); err != nil {
		t.Fatal(err)
	}
	wire := out.Bytes()
	order.PutUint32(wire[8:], 1) // the library numbers what it sends, and accepts no zero
	return wire
}

// reads is a connection of which only the reading side matters.
type reads struct {
	net.Conn
	io.Reader
}

func (r reads) Read(p []byte) (int, error)  { return r.Reader.Read(p) }
func (r reads) Write(p []byte) (int, error) { return len(p), nil }

// TestJobsOnly: whatever else the manager sends, the library gets the replies and the ends of jobs,
// whole and in order.
func TestJobsOnly(t *testing.T) {
	long := strings.Repeat("x", 20<<10) // longer than what is looked at at once
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		wire := slices.Concat(
			message(t, order, dbus.TypeSignal, "/org/freedesktop/systemd1/unit/a_2eservice", "PropertiesChanged", "an", map[string]dbus.Variant{"A": dbus.MakeVariant(long)}),
			message(t, order, dbus.TypeMethodReply, "", "", "reply "+long),
			message(t, order, dbus.TypeSignal, "/org/freedesktop/systemd1", "UnitNew", "a.service"),
			message(t, order, dbus.TypeSignal, "/org/freedesktop/systemd1", "JobNew", uint32(1), "JobRemoved"),
			message(t, order, dbus.TypeSignal, "/org/freedesktop/systemd1", "JobRemoved", uint32(1), "first"),
			message(t, order, dbus.TypeError, "", "", "error"),
			message(t, order, dbus.TypeSignal, "/org/freedesktop/systemd1/unit/"+long, "JobRemoved", uint32(2), "with a long path"),
			message(t, order, dbus.TypeSignal, "/org/freedesktop/systemd1", "Reloading", true),
			message(t, order, dbus.TypeMethodReply, "", ""),
			message(t, order, dbus.TypeSignal, "/org/freedesktop/systemd1", "UnitRemoved"),
		)
		for name, slow := range map[string]func(io.Reader) io.Reader{"whole": func(r io.Reader) io.Reader { return r }, "in pieces": iotest.OneByteReader} {
			greeting := "REJECTED EXTERNAL\r\nOK 0123\r\n"
			j := newJobsOnly(reads{Reader: slow(io.MultiReader(strings.NewReader(greeting), bytes.NewReader(wire)))})
			// The library has read all lines when it writes the last one of its own.
			got := make([]byte, len(greeting))
			if _, err := io.ReadFull(j, got); err != nil || string(got) != greeting {
				t.Fatalf("%q, %v", got, err)
			}
			if _, err := j.Write([]byte("BEGIN\r\n")); err != nil {
				t.Fatal(err)
			}
			var heard []string
			for {
				m, err := dbus.DecodeMessage(j)
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatalf("%s, %s: %v after %q", order, name, err, heard)
				}
				word := m.Type.String()
				if len(m.Body) > 0 {
					text, _ := m.Body[len(m.Body)-1].(string)
					word += " " + strings.TrimRight(text, "x")
				}
				heard = append(heard, word)
			}
			want := []string{"reply reply ", "signal first", "error error", "signal with a long path", "reply"}
			if !slices.Equal(heard, want) {
				t.Errorf("%s, %s: %q, want %q", order, name, heard, want)
			}
		}
	}
}

// TestJobsOnlyEnds: a manager that ends in the middle of a message is an error, wanted or not.
func TestJobsOnlyEnds(t *testing.T) {
	for _, member := range []string{"JobRemoved", "UnitNew"} {
		wire := message(t, binary.LittleEndian, dbus.TypeSignal, "/org/freedesktop/systemd1", member, "text")
		for n := 1; n < len(wire); n++ {
			j := newJobsOnly(reads{Reader: bytes.NewReader(wire[:n])})
			if _, err := j.Write([]byte("BEGIN\r\n")); err != nil {
				t.Fatal(err)
			}
			if m, err := dbus.DecodeMessage(j); err == nil {
				t.Fatalf("%s, %d bytes of it: %v", member, n, m)
			}
		}
	}
}
