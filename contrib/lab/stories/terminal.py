# SPDX-License-Identifier: Apache-2.0
#
# terminal.py COMMAND...: sits at a terminal, where COMMAND gives a busybox shell, and does what a person does there.
# With HANGUP set, it closes the terminal instead.
import fcntl, os, pty, select, signal, struct, sys, termios, time

signal.alarm(110)  # the lab's own limit is two minutes


def resize(rows, columns):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def until(what):
    seen, end = b"", time.monotonic() + 100
    while what not in seen:
        if time.monotonic() > end:
            sys.exit(f"no {what} in {seen}")
        if select.select([fd], [], [], 0.1)[0]:
            try:
                seen += os.read(fd, 65536)
            except OSError:
                sys.exit(f"the end, and no {what}, in {seen}")


def type(text):
    os.write(fd, text)


pid, fd = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
resize(33, 101)
before = termios.tcgetattr(fd)
until(b"# ")
if "HANGUP" in os.environ:
    os.close(fd)
    os.waitpid(pid, 0)
    sys.exit(0)
type(b"stty size\r")
until(b"33 101")
resize(20, 60)
# It takes a moment. The dot keeps apart what is typed and what is answered.
type(b"until stty size | grep 20.60; do sleep 0.1; done\r")
until(b"20 60")
type(b"tty\r")
until(b"/dev/")
type(b"sh -c 'echo begins; exec sleep 1000'\r")
until(b"begins\r\n")
time.sleep(0.2)
type(b"\x03")
until(b"# ")
type(b"echo status $?.\r")
until(b"status 130.")
type(b"exit 42\r")
while True:  # or the far end waits for us to read
    try:
        if not os.read(fd, 65536):
            break
    except OSError:
        break
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
if status != 42:
    sys.exit(f"exit status {status}")
if termios.tcgetattr(fd)[:4] != before[:4]:
    sys.exit("the terminal is not as it was")
