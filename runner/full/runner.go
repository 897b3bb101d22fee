// SPDX-License-Identifier: Apache-2.0

package main

/*
// The constructor in runner/rootless/enter.c acts in a program that has this.
const char podunit_is_runner = 1;
*/
import "C"
