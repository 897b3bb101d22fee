// SPDX-License-Identifier: Apache-2.0

// Package labtest holds stories about the runner in a booted lab: what happens when it is killed,
// when pulls are slow, when the machine lacks something. They carry the build tag lab.
package labtest
