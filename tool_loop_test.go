package idem_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/idemtest"
	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// loopArgs is what a Loop works on.
type loopArgs struct {
	Path, Server string
	Task         int
}

// planned is what each step of a loop's plan is about.
type planned struct {
	Task  int    `json:"task"`
	Step  string `json:"step"`
	Cents int    `json:"cents"`
}

// Loop is a whole agent loop: it recovers, plans the task anew with new call ids,
// and does each step of the plan through a tool or through HTTP, saying a word at
// each point at which it may be killed.
func (children) Loop(l *testkit.Link) error {
	var args loopArgs
	if err := l.Args(&args); err != nil {
		return err
	}
	keeps := clientkit.Stripe()
	keeps.ID = []string{"/task", "/step"}
	c, err := idem.Open(args.Path, idem.WithPolicy("create_invoice", clientkit.Stripe()), idem.WithPolicy("bill", clientkit.Stripe()))
	if err != nil {
		return err
	}
	s := newSDK(c, args.Server, 2)
	point := func() { l.Say("alive") }
	// One write under the tool's own key.
	_, err = idem.NewTool(c, "charge", keeps, func(ctx context.Context, _ string, in planned) (string, error) {
		point()
		err := s.create(ctx, "charges", in)
		point()
		return "paid", err
	})
	if err != nil {
		return err
	}
	// Two writes, each a child.
	natural := idem.Policy{Contract: idem.Natural(), Retry: clientkit.Quick(), ID: keeps.ID}
	_, err = idem.NewTool(c, "welcome", natural, func(ctx context.Context, _ string, in planned) (string, error) {
		for _, kind := range []string{"customers", "invoices"} {
			child := idem.WithOperation(ctx, idem.Operation{Name: "bill", ID: kind})
			in.Step = in.Step + " " + kind
			if err := s.create(child, kind, in); err != nil {
				return "", err
			}
			point()
		}
		return "welcome", nil
	})
	if err != nil {
		return err
	}
	ctx := context.Background()
	point()
	if _, err := c.Recover(ctx); err != nil {
		return err
	}
	point()
	call := func(tool, step string) error {
		args, err := json.Marshal(planned{args.Task, step, 500})
		if err != nil {
			return err
		}
		return patiently(func() error {
			point()
			_, err := c.Call(idem.WithScope(ctx, "loop"), tool, uuid.NewString(), args) // a new call id each time it plans
			point()
			return err
		})
	}
	err = errors.Join(call("charge", "deposit"), call("welcome", "welcome"), call("charge", "rest"))
	if err != nil {
		return err
	}
	op := idem.WithOperation(ctx, idem.Operation{Name: "create_invoice", Scope: "loop", ID: fmt.Sprintf("task %d", args.Task)})
	err = patiently(func() error { return s.create(op, "refunds", planned{args.Task, "refund", 100}) })
	if err != nil {
		return err
	}
	point()
	if err := c.Close(); err != nil {
		return err
	}
	l.Say("finished")
	return nil
}

// patiently asks again while it is in doubt: the faults of one call may outnumber
// its tries.
func patiently(do func() error) error {
	for range 20 {
		if err := do(); !errors.Is(err, idem.ErrInDoubt) {
			return err
		}
	}
	return do()
}

// create makes something at the server, or says why not.
func (s sdk) create(ctx context.Context, kind string, o planned) error {
	status, body, err := s.post(ctx, kind, fmt.Sprintf("amount=%d&currency=usd&metadata[what]=%d+%s", o.Cents, o.Task, o.Step))
	if err == nil && status != 200 {
		err = fmt.Errorf("status %d: %s", status, body)
	}
	return err
}

// loopFaults are lost replies and passing trouble, before and after the effect.
var loopFaults = []idemtest.FaultKind{
	idemtest.DropBefore, idemtest.DropAfter, idemtest.ResetAfter, idemtest.CutBody, idemtest.Proxy502After,
	idemtest.Unavailable503, idemtest.TooMany, idemtest.InFlightOverlap, idemtest.Duplicate, idemtest.StaleAfter,
}

// Any number of crashes, at any point, of a loop that plans anew each time with new
// call ids, makes each effect once: here 200 kills at random points.
func TestALoopKilledAtRandomPointsDoesEachThingOnce(t *testing.T) {
	t.Parallel()
	const kills = 200
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	w := clientkit.NewWorld(t, idemtest.WithRandomFaults(seed, 0.2, loopFaults...))
	w.OtherBytes = true
	t.Cleanup(func() { // a tool's outcome is its own words, not the server's
		for _, in := range clientkit.ReadJournal(t, w.Path) {
			if strings.HasPrefix(in.Target(), "tool ") {
				w.Unchecked = append(w.Unchecked, in.Key())
			}
		}
	})
	tasks, killed := 0, 0
	for killed < kills {
		child := testkit.StartChild(t, "Loop", loopArgs{w.Path, w.Server.URL(), tasks})
		if child.KillAt(random) {
			killed++
			continue
		}
		tasks++
	}
	for { // the last task is brought to its end
		child := testkit.StartChild(t, "Loop", loopArgs{w.Path, w.Server.URL(), tasks})
		if !child.KillAt(nil) {
			break
		}
	}
	t.Logf("%d kills, %d tasks, %d requests", killed, tasks+1, len(w.Server.Arrivals()))

	times := map[string]int{}
	for _, e := range w.Server.Effects() {
		times[e.Metadata["what"]]++
	}
	want := map[string]int{}
	for task := range tasks + 1 {
		for _, step := range []string{"deposit", "rest", "refund", "welcome customers", "welcome customers invoices"} {
			want[fmt.Sprintf("%d %s", task, step)] = 1
		}
	}
	require.Equal(t, want, times)
	for _, in := range clientkit.ReadJournal(t, w.Path) {
		require.Equal(t, idem.Succeeded, in.State(), "%v", in.Operation())
	}
}
