package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
)

// startProfile records where the CPU time goes until the function it gives back is called, which also writes what was
// allocated since the process began. An empty folder means no profile.
func startProfile(s spec) (stop func() error, err error) {
	if s.Profile == "" {
		return func() error { return nil }, nil
	}
	name := filepath.Join(s.Profile, fmt.Sprintf("%s-%d", s.Subject, s.Callers))
	cpu, err := os.Create(name + ".cpu.pprof")
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(cpu); err != nil {
		return nil, err
	}
	return func() error {
		pprof.StopCPUProfile()
		if err := cpu.Close(); err != nil {
			return err
		}
		mem, err := os.Create(name + ".mem.pprof")
		if err != nil {
			return err
		}
		if err := pprof.Lookup("allocs").WriteTo(mem, 0); err != nil {
			return err
		}
		return mem.Close()
	}, nil
}
