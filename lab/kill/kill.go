//go:build linux && cgo

// Package kill runs agents in processes of their own against a server where
// everything goes wrong, kills them with SIGKILL at random times, at named points
// and at single system calls, and judges what is left.
package kill

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/idem-go/idem/idemtest"
	"github.com/idem-go/idem/lab/history"
)

// Tally is what a suite did and found.
type Tally struct {
	mu      sync.Mutex
	Rounds  int // processes killed
	Worlds  int // journals, each with a server of its own
	Ended   int // processes that ended before their kill
	Effects int
	Hits    Hits
	Points  map[string]int // kills at each failpoint or system call; "random": at a random time
	Broken  map[history.Rule]int
	Bad     int      // worlds that broke a rule
	Cases   []string // the first of them
}

func newTally() *Tally {
	return &Tally{Hits: Hits{}, Points: map[string]int{}, Broken: map[history.Rule]int{}}
}

// String is what it did, in a line.
func (t *Tally) String() string {
	return fmt.Sprintf("%d journals, %d effects, %v, %d kinds of place", t.Worlds, t.Effects, t.Hits, len(t.Points))
}

// Plan is how the rounds of a suite go.
type Plan struct {
	Processes int    // at a time
	Rounds    int    // processes to kill in all
	Break     string // how the library is broken; empty: it is whole
	Deaf      bool   // the server ignores keys, though agents count on them
	Calls     bool   // kill at system calls instead, under strace
	Kept      string // a folder for journals that broke a rule; empty: they are not kept
	UntilBad  bool   // stop at the first broken rule

	Only []idemtest.FaultKind // the server's faults; empty: all that break no promise of its own
}

const (
	worldRounds = 20 // kills of one journal
	orders      = 14 // that one process asks for
	fewOrders   = 5  // where a process is slow to die
	newOrders   = 5  // that no process before it asked for
)

// Run kills so many processes, in worlds from this seed on.
func (p Plan) Run(ctx context.Context, seed uint64) (*Tally, error) {
	t := newTally()
	return t, Worlds(ctx, seed, p.Rounds, worldRounds, p.UntilBad,
		func(ctx context.Context, seed uint64, rounds int, folder string) (bool, error) {
			w := &world{Plan: p, seed: seed, rounds: rounds, tally: t, folder: folder}
			return w.run(ctx)
		})
}

// Worlds runs rounds in worlds of at most perWorld rounds each, one per processor at
// once and at least two. run gets the world's seed, counted up from seed, and a folder
// of its own that does not exist yet, and reports whether a rule was broken. No world
// starts after one that failed or, if untilBad is set, in which a rule was broken. The
// error is that of the worlds that failed.
func Worlds(ctx context.Context, seed uint64, rounds, perWorld int, untilBad bool,
	run func(ctx context.Context, seed uint64, rounds int, folder string) (bad bool, err error),
) error {
	folder, err := workFolder()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var mu sync.Mutex
	var failed error
	next, left := seed, rounds
	take := func() (uint64, int) {
		mu.Lock()
		defer mu.Unlock()
		n := min(left, perWorld)
		left -= n
		next++
		return next - 1, n
	}
	var wg sync.WaitGroup
	for range max(2, runtime.NumCPU()) {
		wg.Go(func() {
			for {
				seed, rounds := take()
				if rounds == 0 || ctx.Err() != nil {
					return
				}
				bad, err := run(ctx, seed, rounds, filepath.Join(folder, fmt.Sprint(seed)))
				if err != nil {
					mu.Lock()
					failed = errors.Join(failed, fmt.Errorf("seed %d: %w", seed, err))
					mu.Unlock()
				}
				if err != nil || bad && untilBad {
					cancel()
					return
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(failed, os.RemoveAll(folder))
}

const memory, memoryType = "/dev/shm", 0x01021994 // tmpfs

// workFolder makes a folder in memory where there is one, and else on the disk.
func workFolder() (string, error) {
	var fs syscall.Statfs_t
	if syscall.Statfs(memory, &fs) == nil && uint32(fs.Type) == memoryType {
		if folder, err := os.MkdirTemp(memory, "idem-lab-"); err == nil {
			return folder, nil
		}
	}
	return os.MkdirTemp("", "idem-lab-")
}

// world is one journal and one server, and the processes that are killed over them.
type world struct {
	Plan
	seed    uint64
	rounds  int
	tally   *Tally
	folder  string
	keyless bool
	server  *idemtest.Server

	mu     sync.Mutex
	random *rand.Rand
	left   int
	asked  int // orders that some process was to ask for
	told   []history.Tell
	deaths []time.Time
	places map[string]int
	ended  int
	killed int
}

func (w *world) journal() string { return filepath.Join(w.folder, "agent.db") }

func (w *world) run(ctx context.Context) (bad bool, err error) {
	if err := os.MkdirAll(w.folder, 0o700); err != nil {
		return false, err
	}
	w.random = rand.New(rand.NewPCG(w.seed, 2))
	w.keyless = w.seed%4 == 3 && w.Break == "" && !w.Deaf && len(w.Only) == 0
	w.left, w.places = w.rounds, map[string]int{}
	opts := []idemtest.ServerOption{idemtest.WithRandomFaults(w.seed, 0.5, w.faults()...)}
	if w.keyless || w.Deaf {
		opts = append(opts, idemtest.IgnoreKeys())
	}
	if w.server, err = idemtest.NewServer(opts...); err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, w.server.Close(), os.RemoveAll(w.folder)) }()
	errs := make([]error, w.Processes)
	var wg sync.WaitGroup
	for n := range w.Processes {
		wg.Go(func() { errs[n] = w.agents(ctx, n) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		if w.Break != "" { // an agent that stumbles over what is broken noticed it
			return w.count([]history.Violation{{Rule: history.Lost, Text: err.Error()}})
		}
		return false, err
	}
	if ctx.Err() != nil {
		return false, nil
	}
	found, err := w.settle(ctx)
	if err != nil {
		found = append(found, history.Violation{Rule: history.Lost, Text: err.Error()})
	}
	return w.count(found)
}

// agents starts one process after the other until every kill is made.
func (w *world) agents(ctx context.Context, n int) error {
	for ctx.Err() == nil {
		job, after, ok := w.next(n)
		if !ok {
			return nil
		}
		if err := w.process(ctx, job, after); err != nil {
			return err
		}
	}
	return nil
}

// next plans a process: what it does, and after how long it is killed; 0: it dies
// by itself, at a failpoint.
func (w *world) next(n int) (job work, after time.Duration, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.left == 0 {
		return job, 0, false
	}
	w.left--
	job = work{
		Agent: n*1000 + w.left, Journal: w.journal(), Server: w.server.URL(), Orders: orders,
		Unreachable: []string{w.server.RefusedURL(), w.server.NoSuchHostURL(), w.server.TLSBadCertURL()},
		Seed:        w.random.Uint64(), Keyless: w.keyless, SkipRecover: w.random.IntN(3) == 0,
		Steal: w.Processes > 1 && w.random.IntN(4) == 0, Break: w.Break,
	}
	if w.Calls {
		job.Orders = fewOrders
	}
	w.asked += newOrders
	job.First = max(0, w.asked-job.Orders)
	switch {
	case w.Calls:
	case w.random.IntN(2) == 0:
		all := points()
		job.Point = all[w.random.IntN(len(all))]
		job.PointCount = 1 + w.random.IntN(4)
		if job.Point == "any" {
			job.PointCount = 1 + w.random.IntN(60)
		}
	default:
		after = time.Duration(1 + w.random.IntN(60_000_000)) // 60 ms: to the middle of its work
	}
	return job, after, true
}

// process runs one process to its death.
func (w *world) process(ctx context.Context, job work, after time.Duration) error {
	text, err := json.Marshal(job)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd, place := exec.Command(self), job.Point
	if w.Calls {
		if cmd, place, err = w.traced(self); err != nil {
			return err
		}
	}
	cmd.Env = append(os.Environ(), agentEnv+"="+string(text), "GORACE=atexit_sleep_ms=0")
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	cmd.WaitDelay = time.Minute
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	limit := time.NewTimer(2 * time.Minute)
	defer limit.Stop()
	kill := (<-chan time.Time)(nil)
	if after > 0 {
		timer := time.NewTimer(after)
		defer timer.Stop()
		kill, place = timer.C, "random"
	}
	dead, stuck := false, false
	select {
	case err = <-ended:
		dead = true
	case <-kill:
	case <-limit.C:
		stuck = true
	case <-ctx.Done():
	}
	if !dead {
		// Kill fails if the process has ended meanwhile; Wait says how it did.
		_ = cmd.Process.Kill()
		err = <-ended
	}
	return w.buried(ctx, job, place, out.Bytes(), said.String(), err, stuck)
}

// buried takes down what a process said, and how it ended.
func (w *world) buried(ctx context.Context, job work, place string, out []byte, said string, err error, stuck bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deaths = append(w.deaths, time.Now())
	for line := range bytes.Lines(out) {
		var t history.Tell
		if json.Unmarshal(line, &t) == nil { // the last one may have been cut
			w.told = append(w.told, t)
		}
	}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return nil
	case stuck:
		return fmt.Errorf("agent %d did not end in two minutes: %s", job.Agent, said)
	case err == nil:
		w.ended++
		w.left++ // it does not count: another one will
		if w.ended > 40*w.rounds {
			return fmt.Errorf("%d processes ended before their kill, so the kills come too late", w.ended)
		}
	case errors.As(err, &exit) && (exit.ProcessState.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL || exit.ExitCode() == 128+int(syscall.SIGKILL)):
		w.killed++
		w.places[place]++
	default:
		return fmt.Errorf("agent %d failed: %w: %s", job.Agent, err, strings.TrimSpace(said))
	}
	return nil
}
