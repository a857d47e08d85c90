//go:build !linux

package idemtest_test

// limitFileSize has no counterpart here; the test that needs it is Linux's.
func limitFileSize() {}
