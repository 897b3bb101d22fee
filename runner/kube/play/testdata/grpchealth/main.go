// SPDX-License-Identifier: Apache-2.0

// A server of grpc.health.v1, without TLS, as a gRPC probe expects it: it serves once the file
// /tmp/up is there.
package main

import (
	"net/http"
	"os"
)

func main() {
	s := &http.Server{Addr: ":9000", Protocols: new(http.Protocols)}
	s.Protocols.SetUnencryptedHTTP2(true)
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		status := byte(2)
		if _, err := os.Stat("/tmp/up"); err == nil {
			status = 1
		}
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", "Grpc-Status")
		_, _ = w.Write([]byte{0, 0, 0, 0, 2, 8, status})
		w.Header().Set("Grpc-Status", "0")
	})
	if err := s.ListenAndServe(); err != nil {
		os.Exit(1)
	}
}
