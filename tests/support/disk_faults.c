/* A disk that fails on purpose, in front of a program's calls of the C library: LD_PRELOAD=disk_faults.so.
 *
 * DISK_FAULTS_ROOT  the directory that lies on this disk; calls on other files pass.
 * DISK_FAULTS       "OPERATION NTH DO PART": at the NTH call of OPERATION (write, sync, rename, make) on a file below the root
 *                   whose path has PART in it ("-" for any), DO one of
 *     kill    end the process by SIGKILL in the middle of it: half of a write is done, nothing else
 *     power   the same, and what log files (*.seg) were given since their last sync is torn off in its middle, as when the
 *             power fails; files of databases, which are written anywhere, keep what they have
 *     hang    never come back from it, and from no later call of this kind on such a file
 *     eio     fail this once, with EIO; what comes later succeeds, which is how a disk with a bad block answers
 *     enospc  do half of a write, then refuse every write and every new file of this disk with ENOSPC
 * DISK_FAULTS_TOLD  the file that is told "fired OPERATION COUNT PATH" then, and "after OPERATION COUNT PATH" for each later
 *                   call on a file of the vote journal that is done.
 *
 * The calls of a process are counted from its start. All happens under one lock, so that no call is between its check and
 * its work while the power fails.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { LOGS_MAX = 256 };
enum action { NONE, KILL, POWER, HANG, EIO_ONCE, ENOSPC_FROM_NOW };

static struct {
    char path[PATH_MAX];
    off_t synced;
} logs[LOGS_MAX];
static int logs_count;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static const char *root, *told;
static char operation[16], part[256];
static unsigned long due, count;
static enum action action;
static int fired, full;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static void read_plan(void) {
    char what[16] = "";
    const char *plan = getenv("DISK_FAULTS");
    root = getenv("DISK_FAULTS_ROOT");
    told = getenv("DISK_FAULTS_TOLD");
    if (!plan || !root || !told || sscanf(plan, "%15s %lu %15s %255s", operation, &due, what, part) != 4) return;
    if (!strcmp(what, "kill")) action = KILL;
    if (!strcmp(what, "power")) action = POWER;
    if (!strcmp(what, "hang")) action = HANG;
    if (!strcmp(what, "eio")) action = EIO_ONCE;
    if (!strcmp(what, "enospc")) action = ENOSPC_FROM_NOW;
}

static void tell(const char *word, const char *op, const char *path) {
    char line[PATH_MAX + 64];
    int length = snprintf(line, sizeof line, "%s %s %lu %s\n", word, op, count, path);
    int fd = (int)syscall(SYS_openat, AT_FDCWD, told, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0) return;
    syscall(SYS_write, fd, line, (size_t)length);
    syscall(SYS_close, fd);
}

static int is_below(const char *path) {
    return root && action != NONE && !strncmp(path, root, strlen(root));
}

static int is_log(const char *path) {
    size_t length = strlen(path);
    return length > 4 && !strcmp(path + length - 4, ".seg");
}

/* The path of an open file below the root; 0 for all else. */
static int path_of(int fd, char *path) {
    char link[64];
    pthread_once(&once, read_plan);
    if (action == NONE) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return is_below(path);
}

static off_t size_of(int fd) {
    struct stat found;
    return fstat(fd, &found) ? 0 : found.st_size;
}

/* What of a log is synced: what it had when it was first written to, and what it has at each sync. */
static void note(int fd, const char *path, int synced) {
    if (!is_log(path)) return;
    int at = 0;
    while (at < logs_count && strcmp(logs[at].path, path)) at++;
    if (at == logs_count) {
        if (logs_count == LOGS_MAX) abort();
        strcpy(logs[at].path, path);
        logs[at].synced = size_of(fd);
        logs_count++;
    } else if (synced) {
        logs[at].synced = size_of(fd);
    }
}

static void end(void) {
    if (action == POWER)
        for (int at = 0; at < logs_count; at++) {
            struct stat found;
            if (stat(logs[at].path, &found) || found.st_size <= logs[at].synced) continue;
            syscall(SYS_truncate, logs[at].path, logs[at].synced + (found.st_size - logs[at].synced) / 2);
        }
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;) pause();
}

/* Others go on. */
static void hang(void) {
    pthread_mutex_unlock(&lock);
    for (;;) pause();
}

enum verdict { PASS, FAIL, HALF, DIE };

/* Counts a call, and says what becomes of it. The lock is held. */
static enum verdict judge(const char *op, const char *path) {
    const char *below = path + strlen(root);
    int makes = !strcmp(op, "write") || !strcmp(op, "make");
    if (full && makes) {
        errno = ENOSPC;
        return FAIL;
    }
    if (fired && strstr(below, "/votes/")) tell("after", op, path);
    if (strcmp(op, operation) || (strcmp(part, "-") && !strstr(below, part))) return PASS;
    if (fired && action == HANG) hang();
    if (fired || ++count != due) return PASS;
    fired = 1;
    tell("fired", op, path);
    switch (action) {
    case KILL:
    case POWER: return DIE;
    case HANG: hang(); return PASS;
    case EIO_ONCE: errno = EIO; return FAIL;
    case ENOSPC_FROM_NOW:
        full = 1;
        if (!strcmp(op, "write")) return HALF;
        errno = ENOSPC;
        return FAIL;
    default: return PASS;
    }
}

#define LOCKED(work)              \
    do {                          \
        pthread_mutex_lock(&lock); \
        work;                     \
        int kept = errno;         \
        pthread_mutex_unlock(&lock); \
        errno = kept;             \
    } while (0)

/* A write of so many bytes that `all` does whole and `some` in part. */
#define WRITE(fd, size, all, some)                          \
    char path[PATH_MAX];                                    \
    ssize_t done = -1;                                      \
    if (!path_of(fd, path)) return all;                     \
    LOCKED({                                                \
        note(fd, path, 0);                                  \
        size_t half = (size) / 2;                           \
        enum verdict verdict = judge("write", path);        \
        if (verdict == PASS) done = all;                    \
        if (verdict == HALF || verdict == DIE) done = half ? some : 0; \
        if (verdict == DIE) end();                          \
        if (verdict == HALF && !half) {                     \
            done = -1;                                      \
            errno = ENOSPC;                                 \
        }                                                   \
    });                                                     \
    return done

ssize_t write(int fd, const void *bytes, size_t size) {
    WRITE(fd, size, REAL(write)(fd, bytes, size), REAL(write)(fd, bytes, half));
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t at) {
    WRITE(fd, size, REAL(pwrite64)(fd, bytes, size, at), REAL(pwrite64)(fd, bytes, half, at));
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at) { return pwrite64(fd, bytes, size, at); }

ssize_t writev(int fd, const struct iovec *parts, int number) {
    size_t first = number > 0 ? parts[0].iov_len : 0;
    WRITE(fd, first, REAL(writev)(fd, parts, number), REAL(write)(fd, parts[0].iov_base, half));
}

#define SYNC(name)                                       \
    int name(int fd) {                                   \
        char path[PATH_MAX];                             \
        int done = -1;                                   \
        if (!path_of(fd, path)) return REAL(name)(fd);   \
        LOCKED({                                         \
            enum verdict verdict = judge("sync", path);  \
            if (verdict == DIE) end();                   \
            if (verdict == PASS) done = REAL(name)(fd);  \
            if (!done) note(fd, path, 1);                \
        });                                              \
        return done;                                     \
    }

SYNC(fsync)
SYNC(fdatasync)

int rename(const char *from, const char *to) {
    char resolved[PATH_MAX];
    int done = -1;
    pthread_once(&once, read_plan);
    const char *path = realpath(from, resolved) ? resolved : from;
    if (!is_below(path)) return REAL(rename)(from, to);
    LOCKED({
        enum verdict verdict = judge("rename", path);
        if (verdict == DIE) end();
        if (verdict == PASS) done = REAL(rename)(from, to);
    });
    return done;
}

/* A file that may be made; one that is there already is none. */
static int make(int (*real)(const char *, int, ...), const char *path, int flags, mode_t mode) {
    int done = -1;
    pthread_once(&once, read_plan);
    if (!(flags & O_CREAT) || !is_below(path) || !access(path, F_OK)) return real(path, flags, mode);
    LOCKED({
        enum verdict verdict = judge("make", path);
        if (verdict == DIE) end();
        if (verdict == PASS) done = real(path, flags, mode);
    });
    return done;
}

#define OPEN(name)                                      \
    int name(const char *path, int flags, ...) {        \
        va_list rest;                                   \
        va_start(rest, flags);                          \
        mode_t mode = (mode_t)va_arg(rest, int);        \
        va_end(rest);                                   \
        return make(REAL(name), path, flags, mode);     \
    }

OPEN(open)
OPEN(open64)
