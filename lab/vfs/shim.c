// A file system for SQLite that passes every call on to the one it stands before,
// and tells Go of those that change a file in a folder that is watched. Files
// elsewhere are opened by the real one alone and cost nothing.

#include "shim.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "_cgo_export.h"
#include "abi.h"

enum { FOLDER_MAX = 512, WATCH_MAX = 64 };

typedef struct watch {
  char folder[FOLDER_MAX]; // ends with a slash; empty: the place is free
  size_t length;
  uintptr_t handle; // what Go knows the watcher by
  int open;         // files that tell of their calls
} watch;

typedef struct shim_file {
  sqlite3_file base;
  watch *watch;
  char *name; // within the folder
  sqlite3_file *real;
} shim_file;

// SQLite's list of file systems is the process's, and so are these.
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static watch watches[WATCH_MAX];
static sqlite3_vfs shim;
static sqlite3_vfs *below;
static int (*open_folder)(const char *, int *);

// While a call of this thread is passed on: what to do where SQLite syncs the
// folder in its course, and whether it did.
static __thread watch *folder_watch;
static __thread int folder_synced;

#define SHIM(f) ((shim_file *)(f))
#define REAL(f) (SHIM(f)->real)

static watch *watch_of(const char *path) {
  if (path == NULL) return NULL;
  watch *found = NULL;
  pthread_mutex_lock(&lock);
  for (int i = 0; i < WATCH_MAX && found == NULL; i++)
    if (watches[i].length > 0 && strncmp(path, watches[i].folder, watches[i].length) == 0) found = &watches[i];
  if (found != NULL) found->open++;
  pthread_mutex_unlock(&lock);
  return found;
}

static void release(watch *w) {
  pthread_mutex_lock(&lock);
  w->open--;
  pthread_mutex_unlock(&lock);
}

static int before(watch *w, int call, const char *name, sqlite3_int64 offset, const void *data, sqlite3_int64 size) {
  return labBefore(w->handle, call, (char *)name, offset, (void *)data, size);
}

static void after(watch *w, int call, const char *name, int worked) { labAfter(w->handle, call, (char *)name, worked); }

// SQLite opens a folder for one thing only: to sync it.
static int shim_open_folder(const char *path, int *fd) {
  watch *w = folder_watch;
  if (w == NULL) return open_folder(path, fd);
  if (before(w, CALL_FOLDER, "", 0, NULL, 0) != FATE_PASS) {
    *fd = -1; // its fsync fails, which SQLite does not look at
    return SQLITE_OK;
  }
  folder_synced = 1;
  return open_folder(path, fd);
}

static int shim_close(sqlite3_file *f) {
  int rc = REAL(f)->pMethods->xClose(REAL(f));
  free(SHIM(f)->name);
  release(SHIM(f)->watch);
  return rc;
}

static int shim_read(sqlite3_file *f, void *to, int n, sqlite3_int64 at) {
  return REAL(f)->pMethods->xRead(REAL(f), to, n, at);
}

static int shim_write(sqlite3_file *f, const void *from, int n, sqlite3_int64 at) {
  shim_file *s = SHIM(f);
  switch (before(s->watch, CALL_WRITE, s->name, at, from, n)) {
  case FATE_IGNORE: return SQLITE_OK;
  case FATE_IO: return SQLITE_IOERR_WRITE;
  case FATE_FULL: return SQLITE_FULL;
  case FATE_HALF: // what a disk that fills up does: a part arrives
    s->real->pMethods->xWrite(s->real, from, n / 2, at);
    return SQLITE_FULL;
  }
  int rc = s->real->pMethods->xWrite(s->real, from, n, at);
  after(s->watch, CALL_WRITE, s->name, rc == SQLITE_OK);
  return rc;
}

static int shim_truncate(sqlite3_file *f, sqlite3_int64 size) {
  shim_file *s = SHIM(f);
  switch (before(s->watch, CALL_TRUNCATE, s->name, 0, NULL, size)) {
  case FATE_PASS: break;
  case FATE_IGNORE: return SQLITE_OK;
  default: return SQLITE_IOERR_TRUNCATE;
  }
  int rc = s->real->pMethods->xTruncate(s->real, size);
  after(s->watch, CALL_TRUNCATE, s->name, rc == SQLITE_OK);
  return rc;
}

static int shim_sync(sqlite3_file *f, int flags) {
  shim_file *s = SHIM(f);
  switch (before(s->watch, CALL_SYNC, s->name, 0, NULL, 0)) {
  case FATE_PASS: break;
  case FATE_IGNORE: return SQLITE_OK;
  default: return SQLITE_IOERR_FSYNC;
  }
  folder_watch = s->watch;
  folder_synced = 0;
  int rc = s->real->pMethods->xSync(s->real, flags);
  folder_watch = NULL;
  after(s->watch, CALL_SYNC, s->name, rc == SQLITE_OK);
  if (folder_synced) after(s->watch, CALL_FOLDER, "", 1);
  return rc;
}

static int shim_file_size(sqlite3_file *f, sqlite3_int64 *size) { return REAL(f)->pMethods->xFileSize(REAL(f), size); }
static int shim_lock(sqlite3_file *f, int level) { return REAL(f)->pMethods->xLock(REAL(f), level); }
static int shim_unlock(sqlite3_file *f, int level) { return REAL(f)->pMethods->xUnlock(REAL(f), level); }
static int shim_reserved(sqlite3_file *f, int *out) { return REAL(f)->pMethods->xCheckReservedLock(REAL(f), out); }
static int shim_control(sqlite3_file *f, int op, void *arg) { return REAL(f)->pMethods->xFileControl(REAL(f), op, arg); }
static int shim_sector(sqlite3_file *f) { return REAL(f)->pMethods->xSectorSize(REAL(f)); }
static int shim_device(sqlite3_file *f) { return REAL(f)->pMethods->xDeviceCharacteristics(REAL(f)); }
static int shim_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **out) {
  return REAL(f)->pMethods->xShmMap(REAL(f), page, size, extend, out);
}
static int shim_shm_lock(sqlite3_file *f, int at, int n, int flags) {
  return REAL(f)->pMethods->xShmLock(REAL(f), at, n, flags);
}
static void shim_shm_barrier(sqlite3_file *f) { REAL(f)->pMethods->xShmBarrier(REAL(f)); }
static int shim_shm_unmap(sqlite3_file *f, int drop) { return REAL(f)->pMethods->xShmUnmap(REAL(f), drop); }

static const sqlite3_io_methods methods = {
    2,           shim_close,   shim_read,     shim_write,       shim_truncate,   shim_sync,
    shim_file_size, shim_lock, shim_unlock,   shim_reserved,    shim_control,    shim_sector,
    shim_device, shim_shm_map, shim_shm_lock, shim_shm_barrier, shim_shm_unmap};

static int shim_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *f, int flags, int *out) {
  (void)vfs;
  watch *w = watch_of(path);
  if (w == NULL) return below->xOpen(below, path, f, flags, out);
  shim_file *s = SHIM(f);
  memset(s, 0, sizeof *s);
  s->watch = w;
  s->real = (sqlite3_file *)(s + 1);
  s->real->pMethods = NULL;
  s->name = strdup(path + w->length);
  struct stat info;
  int is_new = (flags & SQLITE_OPEN_CREATE) != 0 && stat(path, &info) != 0;
  int rc = SQLITE_CANTOPEN;
  if (s->name != NULL && (!is_new || before(w, CALL_CREATE, s->name, 0, NULL, 0) == FATE_PASS))
    rc = below->xOpen(below, path, s->real, flags, out);
  if (rc != SQLITE_OK) {
    free(s->name);
    release(w);
    return rc;
  }
  if (is_new) after(w, CALL_CREATE, s->name, 1);
  f->pMethods = &methods;
  return SQLITE_OK;
}

static int shim_delete(sqlite3_vfs *vfs, const char *path, int sync_folder) {
  (void)vfs;
  watch *w = watch_of(path);
  if (w == NULL) return below->xDelete(below, path, sync_folder);
  const char *name = path + w->length;
  struct stat info;
  int there = stat(path, &info) == 0;
  int rc = SQLITE_IOERR_DELETE;
  folder_synced = 0;
  if (!there || before(w, CALL_DELETE, name, 0, NULL, 0) == FATE_PASS) {
    folder_watch = w;
    rc = below->xDelete(below, path, sync_folder);
    folder_watch = NULL;
    if (there && rc == SQLITE_OK) after(w, CALL_DELETE, name, 1);
    if (folder_synced) after(w, CALL_FOLDER, "", 1);
  }
  release(w);
  return rc;
}

int lab_install(void) {
  if (sqlite3_vfs_find == NULL || sqlite3_vfs_register == NULL) return SQLITE_MISUSE;
  int rc = SQLITE_OK;
  pthread_mutex_lock(&lock);
  if (below == NULL) {
    sqlite3_vfs *real = sqlite3_vfs_find(NULL);
    if (real == NULL || real->iVersion < 3) {
      pthread_mutex_unlock(&lock);
      return SQLITE_MISUSE;
    }
    below = real;
    shim = *real;
    shim.iVersion = 2;
    shim.zName = "idem-lab";
    shim.szOsFile = (int)sizeof(shim_file) + real->szOsFile;
    shim.xOpen = shim_open;
    shim.xDelete = shim_delete;
    open_folder = (int (*)(const char *, int *))real->xGetSystemCall(real, "openDirectory");
    rc = real->xSetSystemCall(real, "openDirectory", (sqlite3_syscall_ptr)shim_open_folder);
    if (rc == SQLITE_OK) rc = sqlite3_vfs_register(&shim, 1);
  }
  pthread_mutex_unlock(&lock);
  return rc;
}

int lab_watch(const char *folder, uintptr_t handle) {
  int rc = SQLITE_FULL;
  size_t length = strlen(folder);
  if (length + 1 >= FOLDER_MAX) return SQLITE_MISUSE;
  pthread_mutex_lock(&lock);
  for (int i = 0; i < WATCH_MAX && rc != SQLITE_OK; i++)
    if (watches[i].length == 0) {
      memcpy(watches[i].folder, folder, length);
      watches[i].folder[length] = '/';
      watches[i].length = length + 1;
      watches[i].handle = handle;
      watches[i].open = 0;
      rc = SQLITE_OK;
    }
  pthread_mutex_unlock(&lock);
  return rc;
}

// lab_unwatch returns how many files are still open, and leaves the watch where
// there are any.
int lab_unwatch(uintptr_t handle) {
  int open = 0;
  pthread_mutex_lock(&lock);
  for (int i = 0; i < WATCH_MAX; i++)
    if (watches[i].length > 0 && watches[i].handle == handle) {
      open = watches[i].open;
      if (open == 0) watches[i].length = 0;
    }
  pthread_mutex_unlock(&lock);
  return open;
}
