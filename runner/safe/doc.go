// SPDX-License-Identifier: Apache-2.0

// Package safe works on files where others can write, and writes what is kept.
//
// Where another user or a container can write, a path may mean another file at every use.
// So a directory is opened once, judged by its descriptor, and everything in it is reached
// below that descriptor. What is kept is written beside its place, synced, and renamed: a
// power cut at any moment leaves the old content or the new one.
package safe
