#ifndef IDEM_LAB_SHIM_H
#define IDEM_LAB_SHIM_H

#include <stdint.h>

// What a call does. The same numbers stand in Go.
enum { CALL_CREATE = 1, CALL_WRITE, CALL_TRUNCATE, CALL_SYNC, CALL_DELETE, CALL_FOLDER };

// What becomes of a call. The same numbers stand in Go.
enum { FATE_PASS = 0, FATE_IGNORE, FATE_IO, FATE_FULL, FATE_HALF };

int lab_install(void);
int lab_watch(const char *folder, uintptr_t handle);
int lab_unwatch(uintptr_t handle);

#endif
