/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The small programs that live in this binary beside Go; helper.go says what for.
 */
#ifndef PODUNIT_HELPER_H
#define PODUNIT_HELPER_H

int podunit_log_main(int argc, char **argv);
int podunit_infra_main(int argc, char **argv);
int podunit_gate_main(int argc, char **argv);

/* Parts of the gate (gate.c): wait for the word, 0 to open it; let the container begin. */
int podunit_await_latch(int fd);
int podunit_open_gate(const char *fifo);

/* Give back the memory that a small program needed to start (slim.c). */
void podunit_slim(void);

#endif
