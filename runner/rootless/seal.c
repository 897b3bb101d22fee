/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What runc is executed from.
 *
 * So that no container can write to its program through /proc/PID/exe (CVE-2019-5736),
 * every start of runc copies itself into a sealed file in memory and executes itself
 * again: eleven megabytes, and five milliseconds in which the start stands still. It does
 * not if it was executed from a sealed file, and then that is what a container finds. So
 * it is: for a user from one that holds a loader (loader.c), which maps runc from where it
 * is. For the moment before runc has become the container's program its file is mapped;
 * /proc/PID/map_files, which would lead there, is closed to everybody in a user namespace.
 * It is not closed to a container of root's that has CAP_SYS_PTRACE and CAP_SYS_ADMIN, so
 * for root runc is copied, as it would do, only sooner.
 * Sources: runc, libcontainer/nsenter/cloned_binary.c, and libcontainer/exeseal of newer
 * ones; proc_map_files_lookup in fs/proc/base.c of Linux.
 *
 * It is copied as well where there is no loader for the machine or the compiler, or runc
 * is made in a way that the loader does not know. Other runtimes are left alone, and
 * scripts, and so is SELinux, whose domains hang on the label of the file. Whatever goes
 * wrong before it is executed, runc does it by itself.
 */
#define _GNU_SOURCE
#include "enter.h"
#include "loader.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U /* since Linux 6.3 */
#endif

enum {
	/* Between fork and exec, Go puts other files behind the numbers that follow those of the
	 * streams (forkAndExecInChild1 in syscall/exec_linux.go); and from 64 on, the kernel makes
	 * a larger table and waits for all processors with it, 10 ms. */
	FAR_AWAY = 56,
};

/* A file in memory that can be sealed and executed. */
static int make_file(void)
{
	const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	int fd = memfd_create("runc", flags | MFD_EXEC);

	if (fd < 0 && errno == EINVAL) /* before Linux 6.3 all may be executed */
		fd = memfd_create("runc", flags);
	return fd;
}

/* Seal a file, or give it up. Its new descriptor, or -1. */
static int seal(int fd, int complete)
{
	int sealed = -1;

	if (complete && fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0)
		sealed = fcntl(fd, F_DUPFD_CLOEXEC, FAR_AWAY);
	close(fd);
	return sealed;
}

#ifdef PODUNIT_MACHINE

/* Whether the loader can load the file, which is told apart from others; interp gets the name
 * of the program that it needs for that, or "". */
static int loadable(const char *path, struct podunit_file *file, char interp[PATH_MAX])
{
	union {
		Elf64_Ehdr elf;
		char bytes[PODUNIT_HEADERS];
	} head;
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	const ssize_t n = fd < 0 ? -1 : read(fd, &head, sizeof head);
	const size_t all = sizeof head - sizeof(Elf64_Phdr);
	int loads = 0, headers = 0, known = 0;
	struct stat st;

	interp[0] = 0;
	if (fd >= 0) {
		known = fstat(fd, &st) == 0;
		close(fd);
	}
	if (!known || n != sizeof head || memcmp(head.elf.e_ident, ELFMAG, SELFMAG) || head.elf.e_ident[EI_CLASS] != ELFCLASS64 ||
	    head.elf.e_machine != PODUNIT_MACHINE || (head.elf.e_type != ET_EXEC && head.elf.e_type != ET_DYN) ||
	    head.elf.e_phentsize != sizeof(Elf64_Phdr) || head.elf.e_phoff > all || head.elf.e_phoff % _Alignof(Elf64_Phdr) ||
	    head.elf.e_phnum > (sizeof head - head.elf.e_phoff) / sizeof(Elf64_Phdr))
		return 0;
	for (int i = 0; i < head.elf.e_phnum; i++) {
		const Elf64_Phdr *s = (const Elf64_Phdr *)(head.bytes + head.elf.e_phoff) + i;

		switch (s->p_type) {
		case PT_LOAD:
			loads++;
			if (head.elf.e_phoff >= s->p_offset && head.elf.e_phoff < s->p_offset + s->p_filesz)
				headers = 1;
			break;
		case PT_INTERP:
			if (s->p_offset > sizeof head || s->p_filesz > sizeof head - s->p_offset || s->p_filesz < 2 ||
			    s->p_filesz > PATH_MAX || head.bytes[s->p_offset + s->p_filesz - 1])
				return 0;
			strcpy(interp, head.bytes + s->p_offset);
			break;
		case PT_GNU_STACK:
			if (s->p_flags & PF_X)
				return 0;
			break;
		}
	}
	if (!loads || !headers)
		return 0;
	*file = podunit_file_of(&st);
	return 1;
}

/* A sealed loader of the program, or -1. */
static int make_loader(const char *path)
{
	struct podunit_loader head = {
		.elf = {
			.e_type = ET_DYN, .e_machine = PODUNIT_MACHINE, .e_version = EV_CURRENT,
			.e_phoff = offsetof(struct podunit_loader, load), .e_ehsize = sizeof(Elf64_Ehdr),
			.e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 2,
		},
		.load = { .p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_align = 1 << 16 },
		.stack = { .p_type = PT_GNU_STACK, .p_flags = PF_R | PF_W },
	};
	const size_t code = __stop_podunit_loader - __start_podunit_loader;
	char interp[PATH_MAX], none[PATH_MAX];
	int fd;

	if (path[0] != '/' || strlen(path) >= sizeof head.program || !loadable(path, &head.file, interp))
		return -1;
	if (interp[0] && (interp[0] != '/' || !loadable(interp, &head.interpreter, none) || none[0]))
		return -1;
	memcpy(head.elf.e_ident, ELFMAG, SELFMAG);
	head.elf.e_ident[EI_CLASS] = ELFCLASS64;
	head.elf.e_ident[EI_DATA] = ELFDATA2LSB;
	head.elf.e_ident[EI_VERSION] = EV_CURRENT;
	head.elf.e_entry = sizeof head + (podunit_loader_entry - __start_podunit_loader);
	head.load.p_filesz = head.load.p_memsz = sizeof head + code;
	strcpy(head.program, path);
	snprintf(head.complaint, sizeof head.complaint, "podunit: runc was replaced while it started, or cannot be loaded\n");
	fd = make_file();
	return fd < 0 ? -1 : seal(fd, write(fd, &head, sizeof head) == sizeof head && write(fd, __start_podunit_loader, code) == (ssize_t)code);
}

#else

static int make_loader(const char *path) { return -1; }

#endif

/* A sealed copy of the program, or -1. */
static int make_copy(const char *path)
{
	const int from = open(path, O_RDONLY | O_CLOEXEC);
	char magic[SELFMAG];
	struct stat st;
	ssize_t n = 1;
	int fd;

	if (from < 0)
		return -1;
	if (fstat(from, &st) < 0 || !S_ISREG(st.st_mode) || pread(from, magic, SELFMAG, 0) != SELFMAG ||
	    memcmp(magic, ELFMAG, SELFMAG) || (fd = make_file()) < 0) {
		close(from);
		return -1;
	}
	for (off_t left = st.st_size; left > 0 && n > 0; left -= n)
		n = sendfile(fd, from, NULL, left);
	close(from);
	return seal(fd, n > 0);
}

int podunit_seal(const char *path, int load)
{
	const char *base = strrchr(path, '/');
	int fd = -1;

	if (strcmp(base ? base + 1 : path, "runc") || access("/sys/fs/selinux/enforce", F_OK) == 0)
		return -1;
	if (load)
		fd = make_loader(path);
	return fd < 0 ? make_copy(path) : fd;
}

#ifdef PODUNIT_MACHINE
const int podunit_has_loader = 1;
#else
const int podunit_has_loader = 0;
#endif
