// A disk that fills up: preloaded into a program, it makes every write to a regular file under
// JENNER_FULL_DISK_ROOT fail with ENOSPC for as long as the file JENNER_FULL_DISK_FLAG exists. The
// chaos test's; it needs no rights to mount anything.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static int IsFull(int fd) {
  const int kept = errno;
  const char* flag = getenv("JENNER_FULL_DISK_FLAG");
  const char* root = getenv("JENNER_FULL_DISK_ROOT");
  int is_full = 0;
  if (flag != NULL && root != NULL && access(flag, F_OK) == 0) {
    struct stat info;
    char link[64];
    char path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode)) {
      const ssize_t size = readlink(link, path, sizeof path - 1);
      path[size < 0 ? 0 : size] = 0;
      is_full = strncmp(path, root, strlen(root)) == 0;
    }
  }
  errno = kept;
  return is_full;
}

#define WRITER(name, parameters, arguments)                                          \
  ssize_t name parameters {                                                          \
    static ssize_t(*real) parameters;                                                \
    if (real == NULL) *(void**)&real = dlsym(RTLD_NEXT, #name);                      \
    if (IsFull(fd)) {                                                                \
      errno = ENOSPC;                                                                \
      return -1;                                                                     \
    }                                                                                \
    return real arguments;                                                           \
  }

WRITER(write, (int fd, const void* bytes, size_t size), (fd, bytes, size))
WRITER(pwrite, (int fd, const void* bytes, size_t size, off_t at), (fd, bytes, size, at))
WRITER(pwrite64, (int fd, const void* bytes, size_t size, off64_t at), (fd, bytes, size, at))
WRITER(writev, (int fd, const struct iovec* parts, int count), (fd, parts, count))
