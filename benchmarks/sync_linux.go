package main

import (
	"os"
	"syscall"
)

// dataSync makes a file's content durable, and of its metadata only what is needed to read it again.
func dataSync(f *os.File) error { return syscall.Fdatasync(int(f.Fd())) }
