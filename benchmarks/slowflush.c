/* Preloaded into mongod: each flush of a file takes FLUSH_PAUSE_US microseconds longer. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

static int flush_slowly(const char *name, int file)
{
    int (*flush)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    const char *given = getenv("FLUSH_PAUSE_US");
    long pause = given ? atol(given) : 0;
    struct timespec time = {pause / 1000000, pause % 1000000 * 1000};
    int result = flush(file);
    nanosleep(&time, NULL);
    return result;
}

int fsync(int file) { return flush_slowly("fsync", file); }
int fdatasync(int file) { return flush_slowly("fdatasync", file); }
