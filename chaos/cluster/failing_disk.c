/* Lets what a node writes to its data fail, when it is told to: loaded with LD_PRELOAD.
 *
 *   CHAOS_DISK_ROOT      the directory, as /proc/self/fd shows it
 *   CHAOS_DISK_CONTROL   a file of one byte, which says how; it is looked at with every call
 *
 *   'w'  each write ends with EIO        's'  each fsync ends with EIO
 *   'f'  each write ends with ENOSPC     'l'  each fsync takes SLOW_NS longer
 *
 * Any other byte: nothing fails. What lies elsewhere (sockets, the log) is never touched.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define SLOW_NS 100000000L

static const volatile char *control;
static const char *root;

__attribute__((constructor)) static void look_for_control(void)
{
    const char *path = getenv("CHAOS_DISK_CONTROL");
    root = getenv("CHAOS_DISK_ROOT");
    if (path == NULL || root == NULL)
        return;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return;
    void *page = mmap(NULL, 1, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (page != MAP_FAILED)
        control = page;
}

static int is_data(int fd)
{
    char link[64], path[PATH_MAX];
    size_t length = strlen(root);
    int kept = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t got = readlink(link, path, sizeof path);
    errno = kept;
    if (got < (ssize_t)length || memcmp(path, root, length) != 0)
        return 0;
    return got == (ssize_t)length || path[length] == '/';
}

static char how(int fd)
{
    char now = control == NULL ? '-' : *control;
    return (now == 'w' || now == 's' || now == 'f' || now == 'l') && is_data(fd) ? now : '-';
}

/* The errno of a write to `fd`; 0 if it does not fail. */
static int write_error(int fd)
{
    char now = how(fd);
    return now == 'w' ? EIO : now == 'f' ? ENOSPC : 0;
}

static int sync_error(int fd)
{
    char now = how(fd);
    if (now == 'l') {
        struct timespec rest = {0, SLOW_NS};
        int kept = errno;
        nanosleep(&rest, NULL);
        errno = kept;
    }
    return now == 's' ? EIO : 0;
}

/* Each function below is libc's own, unless the disk is to fail. */
#define REAL(type, name, ...)                                          \
    static type (*real)(__VA_ARGS__);                                  \
    if (real == NULL)                                                  \
        real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)
#define FAIL(error)                                                    \
    do {                                                               \
        int failed = (error);                                          \
        if (failed != 0) {                                             \
            errno = failed;                                            \
            return -1;                                                 \
        }                                                              \
    } while (0)

ssize_t write(int fd, const void *data, size_t size)
{
    REAL(ssize_t, "write", int, const void *, size_t);
    FAIL(write_error(fd));
    return real(fd, data, size);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
    REAL(ssize_t, "pwrite", int, const void *, size_t, off_t);
    FAIL(write_error(fd));
    return real(fd, data, size, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset)
{
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
    FAIL(write_error(fd));
    return real(fd, data, size, offset);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    REAL(ssize_t, "writev", int, const struct iovec *, int);
    FAIL(write_error(fd));
    return real(fd, parts, count);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    REAL(ssize_t, "pwritev", int, const struct iovec *, int, off_t);
    FAIL(write_error(fd));
    return real(fd, parts, count, offset);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset)
{
    REAL(ssize_t, "pwritev64", int, const struct iovec *, int, off64_t);
    FAIL(write_error(fd));
    return real(fd, parts, count, offset);
}

int fsync(int fd)
{
    REAL(int, "fsync", int);
    FAIL(sync_error(fd));
    return real(fd);
}

int fdatasync(int fd)
{
    REAL(int, "fdatasync", int);
    FAIL(sync_error(fd));
    return real(fd);
}

int fallocate(int fd, int mode, off_t offset, off_t size)
{
    REAL(int, "fallocate", int, int, off_t, off_t);
    FAIL(write_error(fd));
    return real(fd, mode, offset, size);
}

int fallocate64(int fd, int mode, off64_t offset, off64_t size)
{
    REAL(int, "fallocate64", int, int, off64_t, off64_t);
    FAIL(write_error(fd));
    return real(fd, mode, offset, size);
}

/* These two return the error instead of setting errno. */
int posix_fallocate(int fd, off_t offset, off_t size)
{
    REAL(int, "posix_fallocate", int, off_t, off_t);
    int failed = write_error(fd);
    return failed != 0 ? failed : real(fd, offset, size);
}

int posix_fallocate64(int fd, off64_t offset, off64_t size)
{
    REAL(int, "posix_fallocate64", int, off64_t, off64_t);
    int failed = write_error(fd);
    return failed != 0 ? failed : real(fd, offset, size);
}

/* A full disk still lets a file grow over a hole, or shrink. */
int ftruncate(int fd, off_t size)
{
    REAL(int, "ftruncate", int, off_t);
    FAIL(how(fd) == 'w' ? EIO : 0);
    return real(fd, size);
}

int ftruncate64(int fd, off64_t size)
{
    REAL(int, "ftruncate64", int, off64_t);
    FAIL(how(fd) == 'w' ? EIO : 0);
    return real(fd, size);
}
