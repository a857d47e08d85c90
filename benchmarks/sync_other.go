//go:build !linux

package main

import "os"

// dataSync is a whole sync where the system has no smaller one.
func dataSync(f *os.File) error { return f.Sync() }
