/* Loaded in front of libc (LD_PRELOAD) into a pgotter under test: the time of day is moved by what the file ELSEWHERE_CLOCK
 * holds, in seconds, and every host's name that ends in ".test" has the address that the file ELSEWHERE_ADDRESS holds, or
 * none if it is empty, or the next one of several with spaces between. While it holds "?" nobody answers. The file
 * ELSEWHERE_LOOKUPS grows by a byte for each question. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* What the file named by a variable of the environment holds, up to its first line's end. */
static const char *told(const char *variable, char *text, size_t size) {
    const char *path = getenv(variable);
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    ssize_t length = file < 0 ? 0 : read(file, text, size - 1);
    if (file >= 0) close(file);
    text[length > 0 ? length : 0] = 0;
    text[strcspn(text, "\n")] = 0;
    return text;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int outcome = real(clock, now);
    char text[32];
    if (outcome == 0 && clock == CLOCK_REALTIME) now->tv_sec += atol(told("ELSEWHERE_CLOCK", text, sizeof text));
    return outcome;
}

/* The address that such a name has this time. */
static const char *address(char *text, size_t size) {
    static unsigned turn;
    const char *path = getenv("ELSEWHERE_LOOKUPS");
    int file = path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644) : -1;
    if (file >= 0 && write(file, "!", 1) < 0) abort();
    if (file >= 0) close(file);
    told("ELSEWHERE_ADDRESS", text, size);
    while (!strcmp(text, "?")) pause();
    unsigned addresses = 1;
    for (const char *at = text; *at; at++) addresses += *at == ' ';
    char *next = text;
    for (unsigned skip = __atomic_fetch_add(&turn, 1, __ATOMIC_RELAXED) % addresses; skip; skip--) next = strchr(next, ' ') + 1;
    next[strcspn(next, " ")] = 0;
    return next;
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
    static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    if (!real) real = (int (*)(const char *, const char *, const struct addrinfo *, struct addrinfo **))dlsym(RTLD_NEXT, "getaddrinfo");
    char text[256];
    size_t length = name ? strlen(name) : 0;
    if (length > 5 && strcmp(name + length - 5, ".test") == 0) name = address(text, sizeof text);
    if (name && !*name) return EAI_NONAME;
    return real(name, service, hints, found);
}
