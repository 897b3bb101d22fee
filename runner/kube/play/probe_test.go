// SPDX-License-Identifier: Apache-2.0

package play

import (
	"bytes"
	"testing"
	"time"
)

// TestHealthMessages: the bytes of grpc.health.v1, as a server and a client of the protocol have
// them.
func TestHealthMessages(t *testing.T) {
	if got := healthRequest(""); !bytes.Equal(got, []byte{0, 0, 0, 0, 0}) {
		t.Errorf("no service: %v", got)
	}
	if got := healthRequest("db"); !bytes.Equal(got, []byte{0, 0, 0, 0, 4, 0x0a, 2, 'd', 'b'}) {
		t.Errorf("a service: %v", got)
	}
	for want, frame := range map[bool][][]byte{
		true:  {{0, 0, 0, 0, 2, 8, 1}},
		false: {nil, {0, 0, 0, 0, 0}, {0, 0, 0, 0, 2, 8, 2}, {1, 0, 0, 0, 2, 8, 1}},
	} {
		for _, f := range frame {
			if got := serving(f); got != want {
				t.Errorf("%v: %t", f, got)
			}
		}
	}
}

// TestGraceOnce: the time that a probe has asked for counts for one stop.
func TestGraceOnce(t *testing.T) {
	s := store{run: t.TempDir()}
	if _, ok := s.graceOf("p", "web", "a"); ok {
		t.Error("a time that nobody asked for")
	}
	if err := s.setGrace("p", 3*time.Second, "web", "a"); err != nil {
		t.Fatal(err)
	}
	if d, ok := s.graceOf("p", "web", "a"); !ok || d != 3*time.Second {
		t.Errorf("%s, %t", d, ok)
	}
	if _, ok := s.graceOf("p", "web", "a"); ok {
		t.Error("it counts twice")
	}
}
