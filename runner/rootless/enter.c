/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Enter the user's namespaces before the Go runtime starts.
 *
 * setns(2) into a user namespace wants a process of one thread, and Go has
 * several from its first instruction on. So this runs as a constructor of the C
 * library: the same process that was executed goes on in Go, inside, with no
 * second exec.
 *
 * One user namespace serves all of a user's containers. Nobody keeps it: every
 * live runner, container and infra process is listed in RUN/podunit/userns by its
 * pid, and any of them will do to join. When none is left the next runner makes
 * a new namespace with the same mapping.
 */
#define _GNU_SOURCE
#include "enter.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct podunit_identity podunit_identity;

static void fail(enum podunit_problem problem, const char *format, ...)
{
	va_list ap;

	podunit_identity.problem = problem;
	va_start(ap, format);
	vsnprintf(podunit_identity.detail, sizeof podunit_identity.detail, format, ap);
	va_end(ap);
}

/* Verbs that only read arguments or files of the user's own. */
static int needs_namespaces(int argc, char **argv)
{
	static const char *const plain[] = {
		"version", "help", "completion", "check", "quadlet", "fault",
	};
	const char *verb = NULL;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h") || !strcmp(argv[i], "--version"))
			return 0;
		if (!strcmp(argv[i], "--"))
			break;
		if (argv[i][0] != '-') {
			verb = argv[i];
			break;
		}
	}
	if (!verb)
		return 0;
	for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
		if (!strcmp(verb, plain[i]))
			return 0;
	return 1;
}

/* Whether path is a directory of ours in which nobody else can write. */
static int is_own_dir(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() && !(st.st_mode & 022);
}

/*
 * Whether out is the directory that the system's manager has made for those system units
 * that run as this user. 0 where there is none, and -1 where something else is in its place.
 * /run is root's, but a container's may not be: so the parent is judged, too, and all of it
 * by descriptors.
 */
static int is_units_dir(const char *out)
{
	const int flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	struct stat st;
	int parent, fd, ours;

	parent = open(PODUNIT_UNITS_DIR, flags);
	if (parent < 0)
		return errno == ENOENT ? 0 : -1;
	ours = fstat(parent, &st) == 0 && st.st_uid == 0 && !(st.st_mode & 022);
	fd = openat(parent, strrchr(out, '/') + 1, flags);
	close(parent);
	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	ours = ours && fstat(fd, &st) == 0 && st.st_uid == geteuid() && !(st.st_mode & 022);
	close(fd);
	return ours ? 1 : -1;
}

/*
 * The directory for runtime state. A user has one, whoever asks:
 * - an XDG_RUNTIME_DIR that is not the one of a login, where somebody has chosen one;
 * - /run/podunit-user/UID, which is there as soon as a system unit with User= has run. The
 *   system's manager makes it, and it stays until the machine stops: a login does not make
 *   it, and no end of a login takes it away from under the containers;
 * - the one of a login, /run/user/UID, also if the variable got lost (su, cron).
 * There is no other one to fall back to: in /tmp a stranger could be first.
 */
static int find_run_dir(void)
{
	char *const out = podunit_identity.run_dir;
	const size_t size = sizeof podunit_identity.run_dir;
	const char *dir = getenv("XDG_RUNTIME_DIR");
	char login[64];

	if (geteuid() == 0) {
		snprintf(out, size, "/run");
		return 0;
	}
	snprintf(login, sizeof login, "/run/user/%u", geteuid());
	if (dir && dir[0] == '/' && strlen(dir) < size && strcmp(dir, login) && is_own_dir(dir)) {
		snprintf(out, size, "%s", dir);
		return 0;
	}
	snprintf(out, size, PODUNIT_UNITS_DIR "/%u", geteuid());
	switch (is_units_dir(out)) {
	case 1:
		return 0;
	case 0:
		snprintf(out, size, "%s", login);
		if (is_own_dir(out))
			return 0;
	}
	fail(PODUNIT_NO_RUN_DIR, "%s is %s", out, access(out, F_OK) < 0 ? "not there" : "no directory of this user's alone");
	out[0] = 0;
	return -1;
}

static int make_dirs(char *userns_dir, size_t size)
{
	snprintf(userns_dir, size, "%s/podunit", podunit_identity.run_dir);
	if (mkdir(userns_dir, 0700) < 0 && errno != EEXIST)
		goto bad;
	snprintf(userns_dir, size, "%s/podunit/userns", podunit_identity.run_dir);
	if (mkdir(userns_dir, 0700) < 0 && errno != EEXIST)
		goto bad;
	return 0;
bad:
	fail(PODUNIT_NO_RUN_DIR, "%s: %s", userns_dir, strerror(errno));
	return -1;
}

/* Join the user namespace of one listed process, or a parent of it (a container
 * with UserNS=keep-id has one of its own inside). */
static int join_one(const char *pid, unsigned long inode)
{
	char path[300];
	struct stat st;
	int fd;

	snprintf(path, sizeof path, "/proc/%s/ns/user", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	for (int depth = 0; fd >= 0 && depth < 3; depth++) {
		int parent;

		if (fstat(fd, &st) == 0 && st.st_ino == inode) {
			int r = setns(fd, CLONE_NEWUSER);

			close(fd);
			return r;
		}
		parent = ioctl(fd, NS_GET_PARENT);
		close(fd);
		fd = parent;
		if (fd >= 0)
			fcntl(fd, F_SETFD, FD_CLOEXEC);
	}
	if (fd >= 0)
		close(fd);
	return -1;
}

static int join(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	int joined = -1;

	if (!d)
		return -1;
	while (joined < 0 && (e = readdir(d))) {
		char path[PODUNIT_PATH + 300], text[32];
		unsigned long inode;
		ssize_t n;
		int fd;

		if (e->d_name[0] < '0' || e->d_name[0] > '9')
			continue;
		snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		n = read(fd, text, sizeof text - 1);
		close(fd);
		if (n < 0)
			n = 0;
		text[n] = 0;
		inode = strtoul(text, NULL, 10);
		if (inode && join_one(e->d_name, inode) == 0) {
			podunit_identity.userns = inode;
			joined = 0;
		} else {
			unlink(path); /* whoever it was is gone */
		}
	}
	closedir(d);
	return joined;
}

/* Put this process on the list of those that hold the namespace. Where the directory is full and
 * others are on it, it goes on without: else nobody could remove a container to make room. */
static int register_self(const char *dir, int joined)
{
	char path[PODUNIT_PATH + 300], text[32];
	int fd, n, failed;

	snprintf(path, sizeof path, "%s/%d", dir, (int)getpid());
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	n = snprintf(text, sizeof text, "%lu\n", podunit_identity.userns);
	errno = fd < 0 ? errno : ENOSPC; /* of a write that is too short */
	if (fd >= 0 && write(fd, text, n) == n) {
		close(fd);
		return 0;
	}
	failed = errno;
	if (fd >= 0) {
		close(fd);
		unlink(path);
	}
	if (joined && (failed == ENOSPC || failed == EDQUOT))
		return 0;
	fail(PODUNIT_NO_RUN_DIR, "%s: %s", path, strerror(failed));
	return -1;
}

/* The login name of uid according to /etc/passwd. NSS is out of reach for a
 * static program; for other users $USER names a candidate, and newuidmap(1), which
 * does ask NSS, has the last word. */
static void login_name(unsigned uid, char *out, size_t size)
{
	char line[1024];
	const char *env;
	FILE *f = fopen("/etc/passwd", "re");

	out[0] = 0;
	while (f && fgets(line, sizeof line, f)) {
		char *save = NULL, *name = strtok_r(line, ":", &save);

		strtok_r(NULL, ":", &save);
		char *id = strtok_r(NULL, ":", &save);
		if (name && id && strtoul(id, NULL, 10) == uid) {
			snprintf(out, size, "%s", name);
			break;
		}
	}
	if (f)
		fclose(f);
	env = getenv("USER");
	if (!out[0] && env)
		snprintf(out, size, "%s", env);
}

enum { MAX_RANGES = 16 };

/* Arguments of newuidmap(1): our own id as 0, then every subordinate range. */
static int idmap_args(const char *file, const char *name, unsigned id, char args[][16], int max)
{
	char line[512];
	unsigned long next = 1;
	int n = 0;
	FILE *f = fopen(file, "re");

	snprintf(args[n++], 16, "0");
	snprintf(args[n++], 16, "%u", id);
	snprintf(args[n++], 16, "1");
	while (f && n + 3 <= max && fgets(line, sizeof line, f)) {
		char *save = NULL, *who = strtok_r(line, ":", &save);
		char *first = strtok_r(NULL, ":", &save), *count = strtok_r(NULL, ":\n", &save);
		char uid[16];

		snprintf(uid, sizeof uid, "%u", podunit_identity.uid);
		if (!who || !first || !count || (strcmp(who, name) && strcmp(who, uid)))
			continue;
		if (strtoul(count, NULL, 10) == 0)
			continue;
		snprintf(args[n++], 16, "%lu", next);
		snprintf(args[n++], 16, "%lu", strtoul(first, NULL, 10));
		snprintf(args[n++], 16, "%lu", strtoul(count, NULL, 10));
		next += strtoul(count, NULL, 10);
	}
	if (f)
		fclose(f);
	return n > 3 ? n : 0;
}

/* Run newuidmap or newgidmap for pid; what it says on stderr goes to err. Its exit status. */
static int idmap(const char *program, pid_t pid, char args[][16], int n, int err)
{
	char target[16], *argv[2 + 3 * (MAX_RANGES + 1) + 1];
	pid_t child;
	int status;

	snprintf(target, sizeof target, "%d", (int)pid);
	argv[0] = (char *)program;
	argv[1] = target;
	for (int i = 0; i < n; i++)
		argv[2 + i] = args[i];
	argv[2 + n] = NULL;
	child = vfork(); /* copying the page tables of a large program would take longer than all the rest */
	if (child == 0) {
		dup2(err, 2);
		execvp(program, argv);
		_exit(errno == ENOENT ? 127 : 126);
	}
	if (child < 0 || waitpid(child, &status, 0) < 0)
		return 126;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 126;
}

/*
 * A user namespace that waits for its mappings. newuidmap(1) and newgidmap(1) take
 * milliseconds, in which Go starts; podunit_finish waits for them. The lock is held
 * until then: nobody joins a namespace without mappings.
 */
static struct {
	pid_t helper; /* 0: there is none to wait for */
	int err[2];   /* what newuidmap and newgidmap have to say */
	int lock;
	char dir[PODUNIT_PATH + 32]; /* where the namespace is listed */
} unmapped;

/* What systemd may have mapped for us: afterwards we see the map of the new namespace only. */
static void note_outer_map(void)
{
	const int fd = open("/proc/self/uid_map", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (read(fd, podunit_identity.outer_map, sizeof podunit_identity.outer_map - 1) < 0)
		podunit_identity.outer_map[0] = 0;
	close(fd);
}

/* Make a user namespace, and begin to have its mappings made. */
static int make_userns(void)
{
	char name[64], uids[3 * (MAX_RANGES + 1)][16], gids[3 * (MAX_RANGES + 1)][16];
	int nu, ng, go[2], err[2][2];
	pid_t self = getpid(), helper;
	ssize_t n;

	login_name(podunit_identity.uid, name, sizeof name);
	nu = idmap_args("/etc/subuid", name, podunit_identity.uid, uids, 3 * (MAX_RANGES + 1));
	ng = idmap_args("/etc/subgid", name, podunit_identity.gid, gids, 3 * (MAX_RANGES + 1));
	if (!nu || !ng) {
		fail(PODUNIT_NO_SUBID, "%s has no line for %s", nu ? "/etc/subgid" : "/etc/subuid", name);
		return -1;
	}
	if (pipe2(go, O_CLOEXEC) < 0 || pipe2(err[0], O_CLOEXEC) < 0 || pipe2(err[1], O_CLOEXEC) < 0) {
		fail(PODUNIT_USERNS_REFUSED, "pipe: %s", strerror(errno));
		return -1;
	}
	/* The helper stays outside: only there newuidmap has its privilege. */
	helper = fork();
	if (helper == 0) {
		char c;
		int u, g;

		close(go[1]);
		if (read(go[0], &c, 1) != 1)
			_exit(0);
		/* One after the other, so that Go has a processor to itself where there are two. */
		u = idmap("newuidmap", self, uids, nu, err[0][1]);
		g = idmap("newgidmap", self, gids, ng, err[1][1]);
		_exit(u ? u : g);
	}
	if (helper < 0) {
		fail(PODUNIT_USERNS_REFUSED, "fork: %s", strerror(errno));
		return -1;
	}
	close(go[0]);
	close(err[0][1]);
	close(err[1][1]);
	note_outer_map();
	if (unshare(CLONE_NEWUSER) < 0) {
		fail(PODUNIT_USERNS_REFUSED, "unshare: %s", strerror(errno));
		close(go[1]);
		close(err[0][0]);
		close(err[1][0]);
		waitpid(helper, NULL, 0);
		return -1;
	}
	n = write(go[1], "x", 1); /* if not, the helper ends without a mapping, and that is noticed */
	close(go[1]);
	unmapped.helper = n == 1 ? helper : -1;
	unmapped.err[0] = err[0][0];
	unmapped.err[1] = err[1][0];
	return 0;
}

/* Wait for the mappings of a namespace that make_userns has begun. */
static int await_mappings(void)
{
	int status;
	struct stat st;

	if (unmapped.helper < 0 || waitpid(unmapped.helper, &status, 0) < 0 || !WIFEXITED(status))
		status = 126 << 8;
	if (WEXITSTATUS(status) == 127) {
		fail(PODUNIT_NO_NEWIDMAP, "newuidmap or newgidmap is not in PATH");
		return -1;
	}
	if (WEXITSTATUS(status) != 0) {
		char text[PODUNIT_DETAIL / 2];
		ssize_t n = read(unmapped.err[0], text, sizeof text - 1);

		if (n <= 0) /* both may complain; one at a time is enough */
			n = read(unmapped.err[1], text, sizeof text - 1);
		text[n > 0 ? n : 0] = 0;
		for (char *p = text; *p; p++)
			if (*p == '\n')
				*p = ' ';
		fail(PODUNIT_IDMAP_REFUSED, "%s", text);
		return -1;
	}
	if (stat("/proc/self/ns/user", &st) < 0) {
		fail(PODUNIT_USERNS_REFUSED, "/proc/self/ns/user: %s", strerror(errno));
		return -1;
	}
	podunit_identity.userns = st.st_ino;
	return 0;
}

void podunit_finish(void)
{
	if (!unmapped.helper)
		return;
	podunit_identity.entered = await_mappings() == 0 && register_self(unmapped.dir, 0) == 0 &&
				   podunit_identity.problem == PODUNIT_OK;
	unmapped.helper = 0;
	close(unmapped.err[0]);
	close(unmapped.err[1]);
	close(unmapped.lock);
}

/* Take the lock of those who change the list in dir. */
static int lock_list(const char *dir)
{
	char path[PODUNIT_PATH + 96];
	int lock;

	snprintf(path, sizeof path, "%s/lock", dir);
	lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (lock >= 0 && flock(lock, LOCK_EX) == 0)
		return lock;
	fail(PODUNIT_NO_RUN_DIR, "%s: %s", path, strerror(errno));
	if (lock >= 0)
		close(lock);
	return -1;
}

static int enter_userns(void)
{
	char dir[sizeof unmapped.dir];
	int lock, r;

	if (make_dirs(dir, sizeof dir) < 0)
		return -1;
	/* Two first starts at once must end up in one namespace. */
	lock = lock_list(dir);
	if (lock < 0)
		return -1;
	if (join(dir) == 0) {
		r = register_self(dir, 1);
	} else {
		r = make_userns();
		if (r == 0) {
			unmapped.lock = lock;
			memcpy(unmapped.dir, dir, sizeof dir);
			return 0;
		}
	}
	close(lock);
	return r;
}

/*
 * ExecStopPost= repeats the removal that ExecStop= has done in most cases. That there is
 * nothing left to remove is told here, by two names in the runtime directory, without
 * the fifteen milliseconds that Go and the storage need to find out. Only there:
 * a person who asks gets the whole search. $SERVICE_RESULT: systemd.exec(5).
 */
static int nothing_to_remove(int argc, char **argv)
{
	static const char *const kinds[] = { "names", "containers" };
	const char *name = NULL;
	int ignore = 0;

	if (argc < 3 || strcmp(argv[1], "rm") || !getenv("SERVICE_RESULT"))
		return 0;
	for (int i = 2; i < argc; i++) {
		if (!strcmp(argv[i], "-i"))
			ignore = 1;
		else if (argv[i][0] != '-' && !name && !strchr(argv[i], '/'))
			name = argv[i];
		else if (strcmp(argv[i], "-v") && strcmp(argv[i], "-f"))
			return 0;
	}
	if (!ignore || !name)
		return 0;
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		char path[PODUNIT_PATH + 300];

		snprintf(path, sizeof path, "%s/podunit/%s/%s", podunit_identity.run_dir, kinds[i], name);
		if (access(path, F_OK) == 0 || errno != ENOENT)
			return 0;
	}
	return 1;
}

/* The one that is nobody's to hand over. Source: PROC_USER_INIT_INO in linux/proc_ns.h. */
#define INITIAL_USERNS 0xEFFFFFFDU

/* List this process again, if it has left the list of those that hold the namespace. */
static int stay_listed(void)
{
	char dir[PODUNIT_PATH + 32], path[sizeof dir + 64];
	int lock, r;

	if (make_dirs(dir, sizeof dir) < 0)
		return -1;
	snprintf(path, sizeof path, "%s/%d", dir, (int)getpid());
	if (access(path, F_OK) == 0)
		return 0;
	lock = lock_list(dir);
	if (lock < 0)
		return -1;
	r = register_self(dir, 1);
	close(lock);
	return r;
}

/*
 * Another podunit has become this one, and was in the namespaces already: it tells who it
 * was outside of them. Only there is it to be believed.
 */
static int inherit(void)
{
	const char *text = getenv(PODUNIT_HANDED);
	struct stat st;
	int n = 0;

	if (!text || geteuid() != 0 ||
	    sscanf(text, "%u %u %lu %n", &podunit_identity.uid, &podunit_identity.gid, &podunit_identity.userns, &n) != 3 ||
	    strlen(text + n) >= sizeof podunit_identity.run_dir)
		return 0;
	if (podunit_identity.uid == 0 || stat("/proc/self/ns/user", &st) < 0 || st.st_ino != podunit_identity.userns ||
	    st.st_ino == INITIAL_USERNS || !is_own_dir(text + n))
		return 0;
	strcpy(podunit_identity.run_dir, text + n);
	podunit_identity.entered = stay_listed() == 0;
	return 1;
}

/* Whether the service manager itself executed this process. Source: systemd.exec(5), $SYSTEMD_EXEC_PID. */
static int executed_by_manager(void)
{
	const char *pid = getenv("SYSTEMD_EXEC_PID");

	return pid && strtoul(pid, NULL, 10) == (unsigned long)getpid();
}

/*
 * Have the kernel wake Go's monitor thread once in a millisecond of a stop, not every 70
 * microseconds: see runner/slack, which does it for the runtime in a start. All threads of this
 * process inherit the slack, and what they execute, too, but what a unit stops with ends before the
 * unit does. More would be felt: the monitor also lets another goroutine go on where one waits in
 * the kernel. $SERVICE_RESULT tells a stop: systemd.exec(5).
 */
static void wake_late(void)
{
	prctl(PR_SET_TIMERSLACK, 1000 * 1000, 0, 0, 0); /* an unusual kernel wakes it as before */
}

/* Defined by the runner, whatever its file is called; not by other programs, test binaries above all. */
extern const char podunit_is_runner __attribute__((weak));

/*
 * SystemCallFilter= of a user's service kills who makes a call that it does not list, and those of
 * the usual lists lack what no container starts without. Nobody would say why we died, so a child
 * tries. Such a service has no_new_privs: others pay nothing for this.
 */
static int filtered(void)
{
	static const struct {
		const char *name;
		long number;
	} calls[] = {
		{ "mount", SYS_mount }, { "umount2", SYS_umount2 }, { "unshare", SYS_unshare },
		{ "setns", SYS_setns }, { "pivot_root", SYS_pivot_root },
	};

	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 || prctl(PR_GET_SECCOMP, 0, 0, 0, 0) != 2)
		return 0;
	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
		const pid_t child = fork();
		int status = 0;

		if (child == 0) {
			setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
			syscall(calls[i].number, 0, 0, 0, 0, 0); /* it fails, and changes nothing */
			_exit(0);
		}
		while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
			;
		if (child > 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS) {
			fail(PODUNIT_FILTERED, "%s(2)", calls[i].name);
			return 1;
		}
	}
	return 0;
}

/*
 * Have all threads take C's memory from one place. Go makes each of its threads in C, which needs some
 * bytes for it; the C library would map 64 MiB of addresses for each thread that makes another one.
 * Source: mallopt(3), M_ARENA_MAX.
 */
static void share_memory(void)
{
#ifdef M_ARENA_MAX
	mallopt(M_ARENA_MAX, 1);
#endif
}

__attribute__((constructor)) static void enter(int argc, char **argv)
{
	const char *base;
	int runner;

	share_memory();
	if (argc < 1)
		return;
	base = strrchr(argv[0], '/');
	base = base ? base + 1 : argv[0];
	/* The storage executes us under names of its own, inside already. */
	runner = &podunit_is_runner && strncmp(base, "storage-", 8);
	if (runner && inherit())
		goto entered;
	podunit_identity.uid = geteuid();
	podunit_identity.gid = getegid();
	podunit_identity.userns = 0;
	if (!runner)
		return;
	if (!needs_namespaces(argc, argv)) {
		if (find_run_dir() < 0)
			podunit_identity.problem = PODUNIT_OK; /* it is not missed */
		return;
	}
	if (find_run_dir() < 0)
		return;
	if (nothing_to_remove(argc, argv))
		_exit(0);
	if (geteuid() != 0 && (filtered() || enter_userns() < 0))
		return;
	/* Mounts made here stay here, and go with the last process that holds them. */
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0) {
		fail(PODUNIT_MOUNTNS_REFUSED, "%s", strerror(errno));
		return;
	}
	podunit_identity.entered = 1; /* podunit_finish has the last word */
entered:
	if (!executed_by_manager())
		return;
	if (getenv("SERVICE_RESULT"))
		wake_late();
	/* From here on, a second thread is no obstacle. */
	if (podunit_quicken_moves)
		podunit_quicken_moves();
}
