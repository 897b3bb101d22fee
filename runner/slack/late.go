// SPDX-License-Identifier: Apache-2.0

package slack

/*
#cgo CFLAGS: -O2 -Wall -Wextra
void podunit_wake_late(int argc, char **argv);
*/
import "C"
