// SPDX-License-Identifier: Apache-2.0

// Command write writes the page about Kubernetes YAML into the tree; run it from the tree's root.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/podunit/podunit/runner/kube/docs"
)

func main() {
	for path, data := range docs.Files() {
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if err == nil {
			err = os.WriteFile(path, data, 0o644)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}
