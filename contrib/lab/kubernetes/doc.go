// SPDX-License-Identifier: Apache-2.0

// Package kubernetes asks a real Kubernetes API server whether it takes the documents that podunit
// writes, and those of its tests. It is a module of its own, because the server stands on hundreds
// of modules that podunit has no use for. Run it with: make test-kubernetes.
package kubernetes
