package idem_test

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

	"github.com/idem-go/idem"
	"github.com/stretchr/testify/require"
)

// agentArgs is what an agent in a process of its own works on.
type agentArgs struct {
	Path, Server string
	NoContract   bool // the far side promises nothing
	ID           string
	Cents        int
	Ahead        time.Duration // of the wall clock
	IdleRelease  time.Duration // 0: a minute
}

// wall is a wall clock that can be set.
type wall struct{ ahead atomic.Int64 }

func (w *wall) now() time.Time      { return time.Now().Add(time.Duration(w.ahead.Load())) }
func (w *wall) set(d time.Duration) { w.ahead.Store(int64(d)) }

// Agent opens a journal and does what it is told, a line each: begin, do, start
// (do, and say so when it is done), recover, wall (and how far it is ahead), close.
// It answers each with a line.
func (children) Agent(l *link) error {
	var args agentArgs
	if err := l.args(&args); err != nil {
		return err
	}
	p := policyFor(args)
	if args.IdleRelease == 0 {
		args.IdleRelease = time.Minute
	}
	clock := &wall{}
	clock.set(args.Ahead)
	c, err := idem.Open(args.Path, idem.WithPolicy("create_invoice", p), idem.WithWall(clock.now), idem.WithIdleRelease(args.IdleRelease))
	if err != nil {
		return err
	}
	l.say("open")
	var in *idem.Intent
	for {
		switch command, rest, _ := strings.Cut(l.hear(), " "); command {
		case "wall":
			d, err := time.ParseDuration(rest)
			if err != nil {
				return err
			}
			clock.set(d)
			l.say("set")
		case "begin":
			req, err := invoiceRequest(args.Server, args.Cents)
			if err != nil {
				return err
			}
			if in, err = c.Begin(context.Background(), idem.Operation{Name: "create_invoice", ID: args.ID}, req); err != nil {
				return err
			}
			l.say("%s", in.Key())
		case "do":
			l.say("%s", outcome(in.Do(context.Background())))
		case "start":
			l.say("started")
			go func() { l.say("%s", outcome(in.Do(context.Background()))) }()
		case "recover":
			report, err := c.Recover(context.Background())
			l.say("%+v %v", report, err)
		case "close":
			err := c.Close()
			l.say("closed")
			return err
		default:
			return fmt.Errorf("told to %q", command)
		}
	}
}

// outcome is a reply or an error on one line.
func outcome(resp *http.Response, err error) string {
	if err != nil {
		return "error: " + err.Error()
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "error: " + err.Error()
	}
	return fmt.Sprintf("%d %s", resp.StatusCode, strings.ReplaceAll(string(body), "\n", " "))
}

// agent starts an Agent on the world's journal and server, and waits until it has
// opened the journal.
func (w *world) agent(args agentArgs) *process {
	w.t.Helper()
	args.Path, args.Server = w.path, w.server.URL()
	p := startChild(w.t, "Agent", args)
	p.expect("open")
	return p
}

// begin tells an agent to begin, and returns the key.
func (w *world) begin(p *process) string {
	w.t.Helper()
	p.tell("begin")
	return p.hear()
}

// killAfterEffect has an agent begin and send, and kills it when the server has
// acted and the reply is on hold. It returns the key.
func (w *world) killAfterEffect(args agentArgs) string {
	w.t.Helper()
	before := len(w.server.Effects())
	require.NoError(w.t, w.server.Script(holdReply()))
	p := w.agent(args)
	key := w.begin(p)
	p.tell("start")
	p.expect("started")
	require.NoError(w.t, w.server.WaitEffects(testCtx(w.t), before+1))
	p.kill()
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

// watch returns a context whose waiting channel closes when Done was asked for so
// many times.
func watch(ctx context.Context, times int) *watched {
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

// waiting waits until somebody waits.
func (w *watched) waiting(t testing.TB) {
	t.Helper()
	select {
	case <-w.wait:
	case <-testCtx(t).Done():
		require.FailNow(t, "nobody waits")
	}
}

// answer is what one Do gave.
type answer struct {
	status   int
	body     string
	replayed bool
	err      error
}

// do carries an intent out and reads the whole reply.
func do(ctx context.Context, in *idem.Intent) answer {
	resp, err := in.Do(ctx)
	if resp == nil {
		return answer{err: err, replayed: in.Replayed()}
	}
	body, readErr := io.ReadAll(resp.Body)
	if readErr != nil {
		return answer{err: readErr}
	}
	return answer{resp.StatusCode, string(body), in.Replayed(), err}
}

// doing is do in a goroutine; the answer comes through the channel.
func doing(ctx context.Context, in *idem.Intent) <-chan answer {
	got := make(chan answer, 1)
	go func() { got <- do(ctx, in) }()
	return got
}
