//go:build !linux || !cgo

// Command lab tries to break the library. It needs Linux and cgo.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "lab: it runs on Linux, with CGO_ENABLED=1 and a C compiler")
	os.Exit(1)
}
