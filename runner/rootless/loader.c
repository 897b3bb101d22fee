/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Load a program and its interpreter as the kernel does, correct what the kernel has said
 * about them in the auxiliary vector, and jump. The stack with the arguments and the
 * environment stays as it is.
 *
 * This code is copied into a file of its own. It has no library, no data and no address
 * but those relative to itself; what it has to know is in the head of the file. That what
 * it loads fits was seen before it was made, and it loads nothing else. Sources: elf(5), getauxval(3), and Linux,
 * fs/binfmt_elf.c.
 */
#define _GNU_SOURCE
#include "loader.h"

#ifdef PODUNIT_MACHINE

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

/* A loop that fills memory must not become a call of memset, nor anything a table or a constant
 * in another section. */
#pragma GCC optimize("no-tree-loop-distribute-patterns", "no-tree-vectorize", "no-jump-tables")

#define INLINE static inline __attribute__((always_inline))

/* Begin: the stack pointer is the argument, the entry of what was loaded comes back. The
 * register in which programs expect a function to be called at their end is empty. */
#ifdef __x86_64__
__asm__(".pushsection podunit_loader, \"ax\", @progbits\n"
	".globl podunit_loader_entry\n"
	"podunit_loader_entry:\n"
	"	mov %rsp, %rbx\n"
	"	mov %rsp, %rdi\n"
	"	and $-16, %rsp\n"
	"	call podunit_load\n"
	"	mov %rbx, %rsp\n"
	"	xor %edx, %edx\n"
	"	jmp *%rax\n"
	".popsection\n");

INLINE long call(long number, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}
#else
__asm__(".pushsection podunit_loader, \"ax\", @progbits\n"
	".globl podunit_loader_entry\n"
	"podunit_loader_entry:\n"
	"	mov x0, sp\n"
	"	bl podunit_load\n"
	"	mov x16, x0\n"
	"	mov x0, #0\n"
	"	br x16\n"
	".popsection\n");

INLINE long call(long number, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c,
		      x3 __asm__("x3") = d, x4 __asm__("x4") = e, x5 __asm__("x5") = f;

	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
	return x0;
}
#endif

/* An ELF file in memory. */
struct image {
	char file[PODUNIT_HEADERS] __attribute__((aligned(16))); /* its beginning */
	unsigned long bias;    /* from the addresses it was linked for to those it has */
	unsigned long headers; /* the address of its program headers */
};

INLINE const Elf64_Ehdr *elf(const struct image *image) { return (const Elf64_Ehdr *)image->file; }

INLINE const Elf64_Phdr *segments(const struct image *image)
{
	return (const Elf64_Phdr *)(image->file + elf(image)->e_phoff);
}

INLINE unsigned long map(unsigned long at, unsigned long length, int protection, int flags, long fd, unsigned long offset)
{
	return call(SYS_mmap, at, length, protection, MAP_PRIVATE | flags, fd, offset);
}

INLINE int failed(unsigned long address) { return address > -4096UL; }

/* Reserve addresses for all segments, so that nothing else comes between them. */
INLINE int reserve(struct image *image, unsigned long page)
{
	const Elf64_Phdr *s = segments(image);
	const int flags = MAP_ANONYMOUS | MAP_NORESERVE;
	unsigned long low = -1UL, high = 0, alignment = page, at;

	for (int i = 0; i < elf(image)->e_phnum; i++) {
		if (s[i].p_type != PT_LOAD)
			continue;
		if (low > (s[i].p_vaddr & -page))
			low = s[i].p_vaddr & -page;
		if (high < s[i].p_vaddr + s[i].p_memsz)
			high = s[i].p_vaddr + s[i].p_memsz;
		if (alignment < s[i].p_align)
			alignment = s[i].p_align;
	}
	if (elf(image)->e_type == ET_EXEC) {
		image->bias = 0;
		return map(low, high - low, PROT_NONE, flags | MAP_FIXED_NOREPLACE, -1, 0) == low ? 0 : -1;
	}
	at = map(0, high - low + alignment, PROT_NONE, flags, -1, 0);
	image->bias = (at - low + alignment - 1) & -alignment;
	return failed(at) ? -1 : 0;
}

/* Map one segment; what the file has nothing for is zero. */
INLINE int map_segment(const struct image *image, const Elf64_Phdr *s, long fd, unsigned long page)
{
	const int protection = (s->p_flags & PF_R ? PROT_READ : 0) | (s->p_flags & PF_W ? PROT_WRITE : 0) |
			       (s->p_flags & PF_X ? PROT_EXEC : 0);
	const unsigned long begin = image->bias + s->p_vaddr, start = begin & -page, filled = begin + s->p_filesz,
			    end = begin + s->p_memsz;
	unsigned long next = start;

	if (s->p_filesz) {
		/* Nearly all of what is not written to will be looked at: a hundred page faults less. */
		if (failed(map(start, filled - start, protection, MAP_FIXED | (s->p_flags & PF_W ? 0 : MAP_POPULATE), fd,
			       s->p_offset - (begin - start))))
			return -1;
		next = (filled + page - 1) & -page;
		if (end > filled && s->p_flags & PF_W)
			for (volatile char *p = (char *)filled; p < (char *)next; p++)
				*p = 0;
	}
	if (end > next && failed(map(next, end - next, protection, MAP_FIXED | MAP_ANONYMOUS, -1, 0)))
		return -1;
	return 0;
}

INLINE int load(struct image *image, const char *path, const struct podunit_file *want, unsigned long page)
{
	const long fd = call(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0, 0, 0);
	struct podunit_file file;
	const Elf64_Phdr *s;
	struct stat st;

	if (fd < 0 || call(SYS_fstat, fd, (long)&st, 0, 0, 0, 0) < 0)
		return -1;
	file = podunit_file_of(&st);
	if (file.device != want->device || file.inode != want->inode || file.size != want->size ||
	    file.seconds != want->seconds || file.nanoseconds != want->nanoseconds)
		return -1;
	if (call(SYS_read, fd, (long)image->file, sizeof image->file, 0, 0, 0) < (long)sizeof(Elf64_Ehdr))
		return -1;
	if (reserve(image, page) < 0)
		return -1;
	s = segments(image);
	for (int i = 0; i < elf(image)->e_phnum; i++) {
		if (s[i].p_type != PT_LOAD)
			continue;
		if (map_segment(image, s + i, fd, page) < 0)
			return -1;
		if (elf(image)->e_phoff >= s[i].p_offset && elf(image)->e_phoff < s[i].p_offset + s[i].p_filesz)
			image->headers = image->bias + s[i].p_vaddr + elf(image)->e_phoff - s[i].p_offset;
	}
	call(SYS_close, fd, 0, 0, 0, 0, 0);
	return 0;
}

/* From the first of argc, argv, the environment and the auxiliary vector to the address to go on at. */
__attribute__((section("podunit_loader"), used, visibility("hidden"), no_stack_protector, no_instrument_function,
	       no_profile_instrument_function))
unsigned long podunit_load(unsigned long *stack)
{
	struct image program, interpreter;
	const struct podunit_loader *self = NULL;
	const char *name = NULL;
	unsigned long page = 4096, *word = stack + 1 + *stack + 1;
	Elf64_auxv_t *vector;
	int length = 0;

	while (*word++)
		;
	vector = (Elf64_auxv_t *)word;
	for (Elf64_auxv_t *a = vector; a->a_type != AT_NULL; a++) {
		if (a->a_type == AT_PHDR)
			self = (const void *)(a->a_un.a_val - offsetof(struct podunit_loader, load));
		if (a->a_type == AT_PAGESZ)
			page = a->a_un.a_val;
	}
	if (load(&program, self->program, &self->file, page) < 0)
		goto out;
	for (int i = 0; i < elf(&program)->e_phnum; i++)
		if (segments(&program)[i].p_type == PT_INTERP)
			name = program.file + segments(&program)[i].p_offset;
	if (name && load(&interpreter, name, &self->interpreter, page) < 0)
		goto out;
	for (Elf64_auxv_t *a = vector; a->a_type != AT_NULL; a++) {
		if (a->a_type == AT_PHDR)
			a->a_un.a_val = program.headers;
		if (a->a_type == AT_PHNUM)
			a->a_un.a_val = elf(&program)->e_phnum;
		if (a->a_type == AT_ENTRY)
			a->a_un.a_val = program.bias + elf(&program)->e_entry;
		if (a->a_type == AT_BASE)
			a->a_un.a_val = name ? interpreter.bias : 0;
	}
	return name ? interpreter.bias + elf(&interpreter)->e_entry : program.bias + elf(&program)->e_entry;
out:
	while (self->complaint[length])
		length++;
	call(SYS_write, 2, (long)self->complaint, length, 0, 0, 0);
	for (;;)
		call(SYS_exit_group, 126, 0, 0, 0, 0, 0);
}

#endif
