package clientkit

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"

	"github.com/idem-go/idem/internal/testkit"
)

// AgentArgs is what an agent in a process of its own works on.
type AgentArgs struct {
	Path, Server string
	NoContract   bool // the contract is zero
	ID           string
	Cents        int
	Ahead        time.Duration // of the wall clock
	IdleRelease  time.Duration // 0: a minute
}

// Wall is a wall clock that can be set.
type Wall struct{ Ahead atomic.Int64 }

func (w *Wall) Now() time.Time { return time.Now().Add(time.Duration(w.Ahead.Load())) }

func (w *Wall) Set(d time.Duration) { w.Ahead.Store(int64(d)) }

// AgentChild opens a journal and executes commands, a line each: begin, do, start
// (do, and say so when it is done), recover, wall (and how far it is ahead), close.
// It answers each with a line.
func AgentChild(l *testkit.Link, more func(AgentArgs) []idem.Option) error {
	var args AgentArgs
	if err := l.Args(&args); err != nil {
		return err
	}
	p := PolicyFor(args)
	if args.IdleRelease == 0 {
		args.IdleRelease = time.Minute
	}
	clock := &Wall{}
	clock.Set(args.Ahead)
	opts := append(more(args), idem.WithPolicy("create_invoice", p), idem.WithClock(clock.Now))
	c, err := idem.Open(args.Path, opts...)
	if err != nil {
		return err
	}
	l.Say("open")
	var in *idem.Intent
	for {
		switch command, rest, _ := strings.Cut(l.Hear(), " "); command {
		case "wall":
			d, err := time.ParseDuration(rest)
			if err != nil {
				return err
			}
			clock.Set(d)
			l.Say("set")
		case "begin":
			req, err := testkit.InvoiceRequest(args.Server, args.Cents)
			if err != nil {
				return err
			}
			if in, err = c.Begin(context.Background(), idem.Operation{Name: "create_invoice", ID: args.ID}, req); err != nil {
				return err
			}
			l.Say("%s", in.Key())
		case "do":
			l.Say("%s", Outcome(in.Do(context.Background())))
		case "start":
			l.Say("started")
			go func() { l.Say("%s", Outcome(in.Do(context.Background()))) }()
		case "recover":
			report, err := c.Recover(context.Background())
			l.Say("%+v %v", report, err)
		case "close":
			err := c.Close()
			l.Say("closed")
			return err
		default:
			return fmt.Errorf("told to %q", command)
		}
	}
}

// Outcome is a reply or an error on one line.
func Outcome(resp *http.Response, err error) string {
	if err != nil {
		return "error: " + err.Error()
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "error: " + err.Error()
	}
	return fmt.Sprintf("%d %s", resp.StatusCode, strings.ReplaceAll(string(body), "\n", " "))
}

// Agent starts an Agent on the world's journal and server, and waits until it has
// opened the journal.
func (w *World) Agent(args AgentArgs) *testkit.Process {
	w.T.Helper()
	args.Path, args.Server = w.Path, w.Server.URL()
	p := testkit.StartChild(w.T, "Agent", args)
	p.Expect("open")
	return p
}

// Begin tells an agent to begin, and returns the key.
func (w *World) Begin(p *testkit.Process) string {
	w.T.Helper()
	p.Tell("begin")
	return p.Hear()
}

// KillAfterEffect has an agent begin and send, and kills it when the server has
// acted and the reply is on hold. It returns the key.
func (w *World) KillAfterEffect(args AgentArgs) string {
	w.T.Helper()
	before := len(w.Server.Effects())
	require.NoError(w.T, w.Server.Script(HoldReply()))
	p := w.Agent(args)
	key := w.Begin(p)
	p.Tell("start")
	p.Expect("started")
	require.NoError(w.T, w.Server.WaitEffects(testkit.Context(w.T), before+1))
	p.Kill()
	return key
}

// watched is a context that tells when something waits for its end.
type watched struct {
	context.Context
	mu    sync.Mutex
	calls int
	after int
	wait  chan struct{}
}

// Watch returns a context whose waiting channel closes when Done was asked for so
// many times.
func Watch(ctx context.Context, times int) *watched {
	return &watched{Context: ctx, after: times, wait: make(chan struct{})}
}

func (w *watched) Done() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.calls++; w.calls == w.after {
		close(w.wait)
	}
	return w.Context.Done()
}

// Waiting waits until a caller waits.
func (w *watched) Waiting(t testing.TB) {
	t.Helper()
	select {
	case <-w.wait:
	case <-testkit.Context(t).Done():
		require.FailNow(t, "nobody waits")
	}
}

// Answer is what one Do gave.
type Answer struct {
	Status   int
	Body     string
	Replayed bool
	Err      error
}

// Do carries an intent out and reads the whole reply.
func Do(ctx context.Context, in *idem.Intent) Answer {
	resp, err := in.Do(ctx)
	if resp == nil {
		return Answer{Err: err, Replayed: in.Replayed()}
	}
	body, readErr := io.ReadAll(resp.Body)
	if readErr != nil {
		return Answer{Err: readErr}
	}
	return Answer{resp.StatusCode, string(body), in.Replayed(), err}
}

// Doing is do in a goroutine; the answer comes through the channel.
func Doing(ctx context.Context, in *idem.Intent) <-chan Answer {
	got := make(chan Answer, 1)
	go func() { got <- Do(ctx, in) }()
	return got
}
