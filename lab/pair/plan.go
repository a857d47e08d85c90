//go:build linux && cgo

// Package pair runs idem's client and idem's HTTP middleware in processes of their
// own, with a faulty proxy between them. It kills either process with SIGKILL at
// random times, and compares what the client recorded with what the server did.
package pair

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/idem-go/idem/lab/kill"
)

// Tally counts what the worlds did and found.
type Tally struct {
	mu          sync.Mutex
	Worlds      int // pairs of journals, each with a database of charges
	ServerKills int
	ClientKills int
	Operations  int // each with one effect, or reported in Cases
	Faults      map[string]int
	Bad         int      // worlds that broke a rule
	Cases       []string // the first broken rules, a line each
}

// Rounds returns how many processes were killed.
func (t *Tally) Rounds() int { return t.ServerKills + t.ClientKills }

// String describes the tally in one line.
func (t *Tally) String() string {
	faults := 0
	for _, n := range t.Faults {
		faults += n
	}
	return fmt.Sprintf("%d worlds, %d kills of the server, %d of the client, %d operations, %d faults of %d kinds between them",
		t.Worlds, t.ServerKills, t.ClientKills, t.Operations, faults, len(t.Faults))
}

const casesKept = 5

// add adds a world that has ended.
func (t *Tally) add(w *world, found []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.Worlds++
	t.ServerKills += w.serverKills
	t.ClientKills += w.clientKills
	t.Operations += w.operations
	for f, n := range w.proxy.faults() {
		t.Faults[string(f)] += n
	}
	if len(found) == 0 {
		return
	}
	t.Bad++
	if len(t.Cases) < casesKept {
		t.Cases = append(t.Cases, fmt.Sprintf("seed %d: %s", w.seed, strings.Join(found, "; ")))
	}
}

// Plan says how many processes to kill, and which part of the server is broken on purpose.
type Plan struct {
	Rounds   int    // processes to kill in all
	Break    string // how the server is broken; empty: it is whole
	Kept     string // a folder for worlds that broke a rule; empty: they are deleted
	UntilBad bool   // stop at the first world that breaks a rule
}

// worldRounds is the number of kills in one world. A world's journals grow with
// each round, so that later recoveries read what many earlier kills left.
const worldRounds = 50

// Run kills p.Rounds processes, in worlds that take their seeds from seed on. Worlds
// run in parallel. It fails when a world could not be run; a broken rule is counted
// in the tally.
func (p Plan) Run(ctx context.Context, seed uint64) (*Tally, error) {
	t := &Tally{Faults: map[string]int{}}
	return t, kill.Worlds(ctx, seed, p.Rounds, worldRounds, p.UntilBad,
		func(ctx context.Context, seed uint64, rounds int, folder string) (bool, error) {
			return p.world(ctx, t, seed, rounds, folder)
		})
}

// world runs one world in folder and adds it to the tally.
func (p Plan) world(ctx context.Context, t *Tally, seed uint64, rounds int, folder string) (bad bool, err error) {
	if err := os.Mkdir(folder, 0o700); err != nil {
		return false, err
	}
	w, err := newWorld(p.Break, seed, folder)
	if err != nil {
		return false, err
	}
	err = w.run(ctx, rounds)
	w.close()
	var found []string
	if err == nil {
		found, err = w.check(ctx)
	}
	if ctx.Err() != nil {
		return false, nil // interrupted: a world that is cut short proves nothing
	}
	if err != nil && p.Break != "" { // what is broken made a process fail
		found, err = append(found, err.Error()), nil
	}
	if err != nil {
		return false, err
	}
	t.add(w, found)
	if len(found) > 0 && p.Kept != "" {
		err = os.CopyFS(filepath.Join(p.Kept, fmt.Sprintf("pair-%d", seed)), os.DirFS(folder))
	}
	return len(found) > 0, errors.Join(err, os.RemoveAll(folder))
}

// Control is the result of one negative control.
type Control struct {
	Name   string
	Caught bool
	Tally  *Tally
}

// Controls breaks the server in one way at a time, until the check finds it, or
// until so many processes were killed.
func Controls(ctx context.Context, seed uint64, rounds int) (all []Control, err error) {
	for _, how := range []string{noMiddleware, runsAgain, otherReply} {
		t, err := Plan{Rounds: rounds, Break: how, UntilBad: true}.Run(ctx, seed)
		if err != nil {
			return all, err
		}
		all = append(all, Control{how, t.Bad > 0, t})
	}
	return all, nil
}
