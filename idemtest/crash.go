package idemtest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"
)

// Crash runs an agent of one's own in processes of its own, kills them, starts
// them again, and checks what is left against a server's ledger. The agent is any
// program that ends by itself, with exit code 0, when its work is done; started
// again it goes on with the same work.
//
// Half of the kills fall at random times, half at named points, where the agent
// has any: it calls Point, which stops it there until the kit lets it go on, or
// kills it. The last run of each agent is not killed.
type Crash struct {
	// Command makes the agent's command, not started, for agent number n (0, 1, …).
	// The kit adds to Env, which nil takes from this process.
	Command func(n int) *exec.Cmd

	Agents int // how many run at a time; 0: one
	Kills  int // how many processes are killed in all; 0: 20

	// Within bounds the time from start to kill. 0: 100 ms.
	Within time.Duration

	// Points are where to kill, among those that the agent has. Empty: any.
	Points []string

	Seed uint64 // of all that is random here; what the processes do is not

	// Known reads the agents' journal when all is over: see KnownIntents. nil: the
	// ledger is checked alone.
	Known func() ([]KnownIntent, error)

	Server *Server // whose ledger is checked; nil: none is
}

// CrashReport is what a Crash did and found.
type CrashReport struct {
	Kills      int            // processes killed
	AtPoints   map[string]int // so many of them at each point
	Finished   int            // processes that ended by themselves
	Violations []Violation    // what the checkers found: none, it is hoped
}

// String is the report in a line.
func (r CrashReport) String() string {
	names := make([]string, 0, len(r.AtPoints))
	for name, n := range r.AtPoints {
		names = append(names, fmt.Sprintf("%s %d", name, n))
	}
	slices.Sort(names)
	return fmt.Sprintf("%d killed (at points: %s), %d ended by themselves, %d violations",
		r.Kills, strings.Join(names, ", "), r.Finished, len(r.Violations))
}

// pointsEnv names the address where Point reports.
const pointsEnv = "IDEMTEST_POINTS"

// Point stops the program here until the kit that runs it lets it go on, or kills
// it: a place that a crash is to fall on, such as between two steps of one's own.
// In a program that no kit runs it does nothing. In any other language: connect to
// the address in IDEMTEST_POINTS, send the name and a newline, wait for a newline.
func Point(name string) {
	addr := os.Getenv(pointsEnv)
	if addr == "" {
		return
	}
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return // the kit is gone
	}
	defer conn.Close()
	if _, err := fmt.Fprintln(conn, strings.ReplaceAll(name, "\n", " ")); err == nil {
		_, _ = conn.Read(make([]byte, 1)) // until let go, or the kit is gone
	}
}

// Run does all of it. Its error says that the agent, the journal or the machine
// failed; what the checkers found is in the report.
func (c Crash) Run(ctx context.Context) (CrashReport, error) {
	if c.Command == nil {
		return CrashReport{}, errors.New("idemtest: Crash needs a Command")
	}
	if c.Agents == 0 {
		c.Agents = 1
	}
	if c.Kills == 0 {
		c.Kills = 20
	}
	if c.Within == 0 {
		c.Within = 100 * time.Millisecond
	}
	k := &crashRun{Crash: c, left: c.Kills, random: rand.New(rand.NewPCG(c.Seed, c.Seed)), report: CrashReport{AtPoints: map[string]int{}}}
	errs := make([]error, c.Agents)
	var wg sync.WaitGroup
	for n := range c.Agents {
		wg.Go(func() { errs[n] = k.agent(ctx, n) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return k.report, err
	}
	if c.Server != nil {
		k.report.Violations = c.Server.Check()
	}
	if c.Known == nil {
		return k.report, nil
	}
	known, err := c.Known()
	if err != nil {
		return k.report, fmt.Errorf("idemtest: reading the agents' journal: %w", err)
	}
	if c.Server != nil {
		k.report.Violations = append(k.report.Violations, c.Server.CheckAgainst(known)...)
	}
	return k.report, nil
}

// crashRun is one Run under way.
type crashRun struct {
	Crash
	mu     sync.Mutex
	random *rand.Rand
	left   int // kills to make
	report CrashReport
}

// plan is where one process is to be killed.
type killPlan struct {
	never bool
	after time.Duration // a kill at a random time
	point int           // the kill falls on the point that is met as this one; 0: none
}

// next plans the next process. It draws in the order in which processes start.
func (k *crashRun) next() killPlan {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.left == 0 {
		return killPlan{never: true}
	}
	k.left--
	p := killPlan{after: time.Duration(k.random.Int64N(int64(k.Within))) + 1}
	if k.random.IntN(2) == 0 {
		p.point = 1 + k.random.IntN(12)
	}
	return p
}

// agent runs one agent until a run of it was to end by itself, and did.
func (k *crashRun) agent(ctx context.Context, n int) error {
	for {
		p := k.next()
		if err := k.process(ctx, n, p); err != nil || p.never {
			return err
		}
	}
}

// process runs one process to its end.
func (k *crashRun) process(ctx context.Context, n int, p killPlan) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	points, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("idemtest: %w", err)
	}
	cmd := k.Command(n)
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, pointsEnv+"="+points.Addr().String())
	said := &tail{}
	if cmd.Stderr == nil {
		cmd.Stderr = said
	}
	if err := cmd.Start(); err != nil {
		return errors.Join(fmt.Errorf("idemtest: starting agent %d: %w", n, err), points.Close())
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	met := make(chan string)
	var wg sync.WaitGroup
	wg.Go(func() { k.listen(points, p, met) })
	var at string
	var timer <-chan time.Time
	if !p.never && p.point == 0 {
		t := time.NewTimer(p.after)
		defer t.Stop()
		timer = t.C
	}
	alive := true
	select {
	case err = <-ended:
		alive = false
	case at = <-met:
	case <-timer:
	case <-ctx.Done():
	}
	if alive {
		_ = cmd.Process.Kill() // it may have ended just now, which Wait tells
		err = <-ended
	}
	_ = points.Close()
	wg.Wait()
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("idemtest: agent %d was still at it: %w", n, ctx.Err())
	case err == nil: // by itself
		k.report.Finished++
	case !alive:
		return fmt.Errorf("idemtest: agent %d failed: %w: %s", n, err, said)
	default:
		k.report.Kills++
		if at != "" {
			k.report.AtPoints[at]++
		}
	}
	return nil
}

// listen lets the process go on at each point but the one that it is to be killed
// at, until points is closed.
func (k *crashRun) listen(points net.Listener, p killPlan, met chan<- string) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	passed, done := 0, make(chan struct{})
	for {
		conn, err := points.Accept()
		if err != nil {
			break
		}
		wg.Go(func() {
			defer conn.Close()
			name, err := bufio.NewReader(io.LimitReader(conn, 4096)).ReadString('\n')
			if err != nil {
				return
			}
			name = strings.TrimSpace(name)
			mu.Lock()
			kill := false
			if p.point > 0 && (len(k.Points) == 0 || slices.Contains(k.Points, name)) {
				passed++
				kill = passed == p.point
			}
			mu.Unlock()
			if !kill {
				_, _ = conn.Write([]byte("\n")) // whether it is still there, Wait tells
				return
			}
			select {
			case met <- name:
			case <-done: // it died of something else
			}
		})
	}
	close(done)
	wg.Wait()
}

// tail keeps the end of what a process says.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const tailSize = 4096

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, b...)
	t.text = t.text[max(0, len(t.text)-tailSize):]
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.text))
}
