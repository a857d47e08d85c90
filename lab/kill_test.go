//go:build linux && cgo

package main

import (
	"os"
	"testing"

	"github.com/idem-go/idem/lab/kill"
	"github.com/idem-go/idem/lab/pair"
	"github.com/idem-go/idem/lab/sim"
)

func TestMain(m *testing.M) {
	sim.Child()                         // started by a suite, to simulate
	if code, was := kill.Agent(); was { // or to be killed
		os.Exit(code)
	}
	if code, was := pair.Child(); was { // or to be killed as one of a pair
		os.Exit(code)
	}
	os.Exit(m.Run())
}
