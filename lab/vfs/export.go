//go:build linux && cgo

package vfs

// #include <stdint.h>
import "C"

import (
	"runtime/cgo"
	"unsafe"
)

// What the shim calls.

//export labBefore
func labBefore(handle C.uintptr_t, kind C.int, name *C.char, offset C.int64_t, data unsafe.Pointer, size C.int64_t) C.int {
	w, ok := cgo.Handle(handle).Value().(Watcher)
	if !ok {
		return C.int(IO)
	}
	call := Call{Kind: Kind(kind), Name: C.GoString(name), Offset: int64(offset), Size: int64(size)}
	if data != nil {
		call.Data = C.GoBytes(data, C.int(size))
	}
	return C.int(w.Before(call))
}

//export labAfter
func labAfter(handle C.uintptr_t, kind C.int, name *C.char, worked C.int) {
	if w, ok := cgo.Handle(handle).Value().(Watcher); ok {
		w.After(Kind(kind), C.GoString(name), worked != 0)
	}
}
