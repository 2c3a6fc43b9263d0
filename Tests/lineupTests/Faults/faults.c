// System calls that fail on request: preloaded, it counts what a process does to files below a folder, and makes one of
// those calls fail.
//
//   FAULTS_BELOW   the folder (an absolute path)
//   FAULTS_FROM    count from the first call of this name on (default: from the start)
//   FAULTS_AT      the call that fails, counted from 1; 0 or none only counts
//   FAULTS_KIND    eio, enospc: it fails with that error
//                  short: a write writes half of its bytes, the next to the same file fails with ENOSPC
//                  before, after: the process ends at once, before or after the call
//   FAULTS_LOG     a file: a line "N call path" for each call counted, and "injected KIND N call path" for the fault
//
// A call is named look where it opens a file for reading. close counts where the file was open for writing; to close one that was read is nothing that a program could lose by.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { files = 4096 };
static char *_Atomic opened[files];  // the path of a descriptor that is open for writing below the folder
static atomic_long counted, cut = -1;
static atomic_int counting;
static long at;
static const char *below, *from, *kind = "";
static int record = -1;

__attribute__((constructor)) static void prepare(void) {
  below = getenv("FAULTS_BELOW");
  from = getenv("FAULTS_FROM");
  if (getenv("FAULTS_AT")) at = atol(getenv("FAULTS_AT"));
  if (getenv("FAULTS_KIND")) kind = getenv("FAULTS_KIND");
  if (!from) counting = 1;
  const char *path = getenv("FAULTS_LOG");
  if (below && path) record = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
}

static void note(const char *what, long number, const char *call, const char *path) {
  char line[2 * PATH_MAX];
  int length = snprintf(line, sizeof line, "%s%ld %s %s\n", what, number, call, path);
  if (record >= 0 && length > 0) syscall(SYS_write, record, line, length);
}

static int is_below(const char *path) {
  size_t length = below ? strlen(below) : 0;
  return length && path && !strncmp(path, below, length) && (path[length] == '/' || !path[length]);
}

enum fate { passes, fails, ends_after, is_cut };

// What becomes of a call; where it is to fail, errno says how.
static enum fate decide(const char *call, const char *path) {
  if (!is_below(path)) return passes;
  if (!counting) {
    if (strcmp(call, from)) return passes;
    counting = 1;
  }
  long number = ++counted;
  if (!at) note("", number, call, path);
  if (number != at) return passes;
  char what[64];
  int is_write = !strcmp(call, "write") || !strcmp(call, "pwrite");
  if (!strcmp(kind, "short") && !is_write) return passes;
  snprintf(what, sizeof what, "injected %s ", kind);
  note(what, number, call, path);
  if (!strcmp(kind, "before")) syscall(SYS_exit_group, 99);
  if (!strcmp(kind, "after")) return ends_after;
  if (!strcmp(kind, "short")) return is_cut;
  errno = !strcmp(kind, "enospc") ? ENOSPC : EIO;
  return fails;
}

static void end(void) { syscall(SYS_exit_group, 99); }

// A path that is relative to a folder's descriptor, made absolute; NULL where it cannot be.
static const char *whole(int folder, const char *path, char *buffer) {
  if (!path || path[0] == '/') return path;
  ssize_t length;
  if (folder == AT_FDCWD) {
    if (!getcwd(buffer, PATH_MAX)) return NULL;
    length = strlen(buffer);
  } else {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    length = readlink(link, buffer, PATH_MAX);
    if (length <= 0) return NULL;
  }
  if (length + strlen(path) + 2 > PATH_MAX) return NULL;
  snprintf(buffer + length, PATH_MAX - length, "/%s", path);
  return buffer;
}

#define NEXT(name) \
  static __typeof__(&name) next; \
  if (!next) next = (__typeof__(next))dlsym(RTLD_NEXT, #name)

// A call without anything to remember: `done` is how the real one is called.
#define SIMPLE(call, path, done) \
  int saved = errno; \
  enum fate fate = decide(call, path); \
  if (fate == fails) return -1; \
  errno = saved; \
  __typeof__(done) result = done; \
  if (fate == ends_after) end(); \
  return result

static int remember(int file, int flags, const char *path) {
  if (file >= 0 && file < files && (flags & O_ACCMODE) != O_RDONLY && is_below(path)) free(atomic_exchange(&opened[file], strdup(path)));
  return file;
}

#define OPENS(name, parameters, folder, ...) \
  int name parameters { \
    NEXT(name); \
    mode_t mode = 0; \
    if (flags & (O_CREAT | __O_TMPFILE)) { \
      va_list rest; \
      va_start(rest, flags); \
      mode = va_arg(rest, mode_t); \
      va_end(rest); \
    } \
    char buffer[PATH_MAX]; \
    const char *full = whole(folder, path, buffer); \
    int saved = errno; \
    enum fate fate = decide((flags & O_ACCMODE) == O_RDONLY && !(flags & O_DIRECTORY) ? "look" : "open", full); \
    if (fate == fails) return -1; \
    errno = saved; \
    int file = next(__VA_ARGS__, mode); \
    if (fate == ends_after) end(); \
    return remember(file, flags, full); \
  }
OPENS(open, (const char *path, int flags, ...), AT_FDCWD, path, flags)
OPENS(open64, (const char *path, int flags, ...), AT_FDCWD, path, flags)
OPENS(openat, (int folder, const char *path, int flags, ...), folder, folder, path, flags)
OPENS(openat64, (int folder, const char *path, int flags, ...), folder, folder, path, flags)

int creat(const char *path, mode_t mode) { return open(path, O_WRONLY | O_CREAT | O_TRUNC, mode); }
int creat64(const char *path, mode_t mode) { return open(path, O_WRONLY | O_CREAT | O_TRUNC, mode); }

static const char *name_of(int file) { return file >= 0 && file < files ? opened[file] : NULL; }

#define WRITES(name, call, parameters, ...) \
  ssize_t name parameters { \
    NEXT(name); \
    int saved = errno; \
    if (cut >= 0 && cut == file) { \
      errno = ENOSPC; \
      return -1; \
    } \
    enum fate fate = decide(call, name_of(file)); \
    if (fate == fails) return -1; \
    errno = saved; \
    if (fate == is_cut) { \
      cut = file; \
      if (count < 2) { \
        errno = ENOSPC; \
        return -1; \
      } \
      count /= 2; \
    } \
    ssize_t written = next(__VA_ARGS__); \
    if (fate == ends_after) end(); \
    return written; \
  }
WRITES(write, "write", (int file, const void *bytes, size_t count), file, bytes, count)
WRITES(pwrite, "pwrite", (int file, const void *bytes, size_t count, off_t offset), file, bytes, count, offset)
WRITES(pwrite64, "pwrite", (int file, const void *bytes, size_t count, off64_t offset), file, bytes, count, offset)

// A folder or file that was opened for reading may be synced too.
static const char *path_of(int file, char *buffer) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t length = readlink(link, buffer, PATH_MAX - 1);
  if (length <= 0) return NULL;
  buffer[length] = 0;
  return buffer;
}

#define SYNCS(name) \
  int name(int file) { \
    NEXT(name); \
    char buffer[PATH_MAX]; \
    SIMPLE(#name, path_of(file, buffer), next(file)); \
  }
SYNCS(fsync)
SYNCS(fdatasync)

int close(int file) {
  NEXT(close);
  char *path = file >= 0 && file < files ? atomic_exchange(&opened[file], NULL) : NULL;
  if (!path) return next(file);
  int saved = errno;
  enum fate fate = decide("close", path);
  int reason = errno;
  if (cut == file) cut = -1;
  free(path);
  errno = saved;
  int result = next(file);
  if (fate == ends_after) end();
  if (fate != fails) return result;
  errno = reason;
  return -1;
}

int rename(const char *old, const char *path) {
  NEXT(rename);
  char buffer[PATH_MAX];
  SIMPLE("rename", whole(AT_FDCWD, path, buffer), next(old, path));
}
int renameat(int old_folder, const char *old, int folder, const char *path) {
  NEXT(renameat);
  char buffer[PATH_MAX];
  SIMPLE("rename", whole(folder, path, buffer), next(old_folder, old, folder, path));
}
int mkdir(const char *path, mode_t mode) {
  NEXT(mkdir);
  char buffer[PATH_MAX];
  SIMPLE("mkdir", whole(AT_FDCWD, path, buffer), next(path, mode));
}
int mkdirat(int folder, const char *path, mode_t mode) {
  NEXT(mkdirat);
  char buffer[PATH_MAX];
  SIMPLE("mkdir", whole(folder, path, buffer), next(folder, path, mode));
}
int unlink(const char *path) {
  NEXT(unlink);
  char buffer[PATH_MAX];
  SIMPLE("unlink", whole(AT_FDCWD, path, buffer), next(path));
}
int unlinkat(int folder, const char *path, int flags) {
  NEXT(unlinkat);
  char buffer[PATH_MAX];
  SIMPLE("unlink", whole(folder, path, buffer), next(folder, path, flags));
}
int rmdir(const char *path) {
  NEXT(rmdir);
  char buffer[PATH_MAX];
  SIMPLE("rmdir", whole(AT_FDCWD, path, buffer), next(path));
}
int ftruncate(int file, off_t length) {
  NEXT(ftruncate);
  SIMPLE("ftruncate", name_of(file), next(file, length));
}
int ftruncate64(int file, off64_t length) {
  NEXT(ftruncate64);
  SIMPLE("ftruncate", name_of(file), next(file, length));
}
int truncate(const char *path, off_t length) {
  NEXT(truncate);
  char buffer[PATH_MAX];
  SIMPLE("truncate", whole(AT_FDCWD, path, buffer), next(path, length));
}
int truncate64(const char *path, off64_t length) {
  NEXT(truncate64);
  char buffer[PATH_MAX];
  SIMPLE("truncate", whole(AT_FDCWD, path, buffer), next(path, length));
}
