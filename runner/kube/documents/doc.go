// SPDX-License-Identifier: Apache-2.0

// Package documents tests the documents of testdata/kube/documents: that they are read as each of
// them says, and, in the lab, that they have the effect that each of them says.
// contrib/lab/kubernetes asks a real API server about them.
package documents
