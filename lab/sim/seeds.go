package sim

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Tally is what the seeds did and found.
type Tally struct {
	mu      sync.Mutex
	Seeds   int
	Crashes int
	Effects int
	Lived   time.Duration // simulated
	Bad     []Result      // the first seeds that broke a rule
	Broken  int           // how many did
	Lowest  uint64        // the lowest of them; 0: none did
}

// String is what they did, in a line.
func (t *Tally) String() string {
	return fmt.Sprintf("%d crashes, %d effects, %.0f simulated days", t.Crashes, t.Effects, t.Lived.Hours()/24)
}

const badKept = 5

func (t *Tally) add(r Result) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.Seeds++
	t.Crashes += r.Crashes
	t.Effects += r.Effects
	t.Lived += r.Lived
	if len(r.Found) == 0 {
		return
	}
	t.Broken++
	if t.Lowest == 0 || r.Seed < t.Lowest {
		t.Lowest = r.Seed
	}
	if len(t.Bad) < badKept {
		t.Bad = append(t.Bad, r)
	}
}

// Plan is which seeds to simulate, and how.
type Plan struct {
	From     uint64
	Seeds    int
	Break    Break
	UntilBad bool // stop at the first seed that breaks a rule
}

// Run simulates one seed.
func Run(t *testing.T, seed uint64, broken Break) (r Result) {
	t.Helper()
	synctest.Test(t, func(*testing.T) { r = run(seed, broken) })
	return r
}

// simEnv makes this binary simulate: a Plan as JSON.
const simEnv = "IDEM_LAB_SIM"

// Child simulates where this process was started for it, and ends it then: simulated
// time belongs to package testing, which wants a process of its own in a program that
// is no test. Whoever uses Plan.Run calls this first.
func Child() {
	text := os.Getenv(simEnv)
	if text == "" {
		return
	}
	var p Plan
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	testing.Main(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{{Name: "seeds", F: func(t *testing.T) {
		out := json.NewEncoder(os.Stderr) // standard output is package testing's
		for n := range uint64(p.Seeds) {
			r := Run(t, p.From+n, p.Break)
			if len(r.Found) == 0 {
				r.Trace = ""
			}
			if err := out.Encode(r); err != nil {
				t.Fatal(err)
			}
		}
	}}}, nil, nil)
}

// How many seeds a process simulates: few where the first bad one ends it all.
const (
	share    = 500
	untilBad = 20
)

// Run simulates them.
func (p Plan) Run(ctx context.Context) (*Tally, error) {
	t := &Tally{}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	next, end, each := p.From, p.From+uint64(p.Seeds), share
	if p.UntilBad {
		each = untilBad
	}
	take := func() Plan {
		t.mu.Lock()
		defer t.mu.Unlock()
		part := Plan{From: next, Seeds: min(each, int(end-next)), Break: p.Break}
		if ctx.Err() != nil || (p.UntilBad && t.Broken > 0) {
			part.Seeds = 0
		}
		next += uint64(part.Seeds)
		return part
	}
	errs := make([]error, runtime.NumCPU())
	var wg sync.WaitGroup
	for n := range errs {
		wg.Go(func() {
			for part := take(); part.Seeds > 0 && errs[n] == nil; part = take() {
				errs[n] = part.child(ctx, t)
			}
		})
	}
	wg.Wait()
	return t, errors.Join(errs...)
}

// child simulates in a process of its own.
func (p Plan) child(ctx context.Context, t *Tally) error {
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), simEnv+"="+string(text))
	var said bytes.Buffer
	cmd.Stdout = &said
	results, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	in, seen := bufio.NewReader(results), 0
	var lines []byte
	for {
		line, err := in.ReadBytes('\n')
		var r Result
		if json.Unmarshal(line, &r) == nil && r.Seed != 0 {
			t.add(r)
			seen++
		} else {
			lines = append(lines, line...)
		}
		if err != nil {
			break
		}
	}
	if err := cmd.Wait(); err != nil || seen != p.Seeds {
		return fmt.Errorf("sim: seed %d: the simulation itself failed: %w: %s%.4000s", p.From+uint64(seen), err, said.String(), lines)
	}
	return nil
}

// Control is how a negative control came out.
type Control struct {
	Name   string
	Caught bool
	Tally  *Tally
}

// Controls breaks the library, or the far side, in one way at a time, until that is
// noticed, or until so many seeds were simulated.
func Controls(ctx context.Context, from uint64, seeds int) (all []Control, err error) {
	for _, b := range []Break{NewKeys, IgnoresKeys, Trusting, Hopeful} {
		t, err := Plan{From: from, Seeds: seeds, Break: b, UntilBad: true}.Run(ctx)
		if err != nil {
			return all, err
		}
		all = append(all, Control{string(b), t.Broken > 0, t})
	}
	return all, nil
}
