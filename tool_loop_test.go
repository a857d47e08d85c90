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
	"github.com/idem-go/idem"
	"github.com/idem-go/idem/idemtest"
	"github.com/stretchr/testify/require"
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
func (children) Loop(l *link) error {
	var args loopArgs
	if err := l.args(&args); err != nil {
		return err
	}
	keeps := stripe()
	keeps.ID = []string{"/task", "/step"}
	c, err := idem.Open(args.Path, idem.WithPolicy("create_invoice", stripe()), idem.WithPolicy("bill", stripe()))
	if err != nil {
		return err
	}
	s := newSDK(c, args.Server, 2)
	point := func() { l.say("alive") }
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
	natural := idem.Policy{Contract: idem.Natural(), Retry: quick(), ID: keeps.ID}
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
	l.say("finished")
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
	w := newWorld(t, idemtest.WithRandomFaults(seed, 0.2, loopFaults...))
	w.otherBytes = true
	t.Cleanup(func() { // a tool's outcome is its own words, not the server's
		for _, in := range readJournal(t, w.path) {
			if strings.HasPrefix(in.Target(), "tool ") {
				w.unchecked = append(w.unchecked, in.Key())
			}
		}
	})
	tasks, killed := 0, 0
	for killed < kills {
		child := startChild(t, "Loop", loopArgs{w.path, w.server.URL(), tasks})
		if child.killAt(random) {
			killed++
			continue
		}
		tasks++
	}
	for { // the last task is brought to its end
		child := startChild(t, "Loop", loopArgs{w.path, w.server.URL(), tasks})
		if !child.killAt(nil) {
			break
		}
	}
	t.Logf("%d kills, %d tasks, %d requests", killed, tasks+1, len(w.server.Arrivals()))

	times := map[string]int{}
	for _, e := range w.server.Effects() {
		times[e.Metadata["what"]]++
	}
	want := map[string]int{}
	for task := range tasks + 1 {
		for _, step := range []string{"deposit", "rest", "refund", "welcome customers", "welcome customers invoices"} {
			want[fmt.Sprintf("%d %s", task, step)] = 1
		}
	}
	require.Equal(t, want, times)
	for _, in := range readJournal(t, w.path) {
		require.Equal(t, idem.Succeeded, in.State(), "%v", in.Operation())
	}
}

// killAt kills a loop at a random one of its points, at once or when a request of
// its has arrived; nil: never. It tells whether it came to be killed.
func (p *process) killAt(random *rand.Rand) bool {
	p.t.Helper()
	left := -1
	if random != nil {
		left = random.IntN(17)
	}
	for ; left != 0; left-- {
		if p.hear() == "finished" {
			p.wait()
			return false
		}
	}
	if random.IntN(2) == 0 { // somewhere behind the point rather than at it
		for range random.IntN(200_000) {
			random.Uint64()
		}
	}
	require.NoError(p.t, p.cmd.Process.Kill())
	return p.end() != nil // it may have come to its end first
}
