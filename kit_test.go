package idem_test

import (
	"testing"

	"github.com/idem-go/idem"

	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// A child is this test binary, started again as a process of its own, so that it
// can be killed. Each method of children is one program that a child can be; any
// file may add some.
type children struct{}

// Agent is agentChild, a client that does what it is told.
func (children) Agent(l *testkit.Link) error {
	return clientkit.AgentChild(l, func(args clientkit.AgentArgs) []idem.Option {
		return []idem.Option{idem.WithIdleRelease(args.IdleRelease)}
	})
}

// Witness is witnessChild, which reads a journal as plain SQLite.
func (children) Witness(l *testkit.Link) error { return testkit.WitnessChild(l) }

func TestMain(m *testing.M) { testkit.Main(m, children{}) }
