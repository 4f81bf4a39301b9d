/* Lets a node's wall clock be off, by as much as it is told to: loaded with LD_PRELOAD.
 *
 *   CHAOS_CLOCK_CONTROL   a file of eight bytes: the offset in nanoseconds, signed, in the order of
 *                         this machine's bytes; it is looked at with every question for the time
 *
 * The monotonic clock stays, and so does every wait: Python waits by the monotonic clock.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND_NS 1000000000LL

static const int64_t *control;

__attribute__((constructor)) static void look_for_control(void)
{
    const char *path = getenv("CHAOS_CLOCK_CONTROL");
    struct stat found;
    if (path == NULL)
        return;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return;
    if (fstat(file, &found) == 0 && found.st_size >= (off_t)sizeof *control) {
        void *page = mmap(NULL, sizeof *control, PROT_READ, MAP_SHARED, file, 0);
        if (page != MAP_FAILED)
            control = page;
    }
    close(file);
}

static void shift(struct timespec *now)
{
    int64_t offset_ns = control == NULL ? 0 : __atomic_load_n(control, __ATOMIC_RELAXED);
    int64_t ns = now->tv_nsec + offset_ns % SECOND_NS;
    now->tv_sec += offset_ns / SECOND_NS;
    if (ns < 0) {
        ns += SECOND_NS;
        now->tv_sec -= 1;
    } else if (ns >= SECOND_NS) {
        ns -= SECOND_NS;
        now->tv_sec += 1;
    }
    now->tv_nsec = ns;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    static int (*real)(clockid_t, struct timespec *);
    if (real == NULL)
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, now);
    if (result == 0
        && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_TAI))
        shift(now);
    return result;
}

int gettimeofday(struct timeval *now, void *zone)
{
    struct timespec exact;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &exact) != 0)
        return -1;
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *result)
{
    struct timespec exact;
    if (clock_gettime(CLOCK_REALTIME, &exact) != 0)
        return (time_t)-1;
    if (result != NULL)
        *result = exact.tv_sec;
    return exact.tv_sec;
}

int timespec_get(struct timespec *now, int base)
{
    return base == TIME_UTC && clock_gettime(CLOCK_REALTIME, now) == 0 ? base : 0;
}
