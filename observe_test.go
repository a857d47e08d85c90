package idem_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/idemtest"
	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// spans is an Observer as a tracer is one: Start opens a span below the one that
// the context carries, End closes it.
type spans struct {
	mu   sync.Mutex
	said []string
	open int
}

type spanKey struct{}

func (s *spans) Start(ctx context.Context, e idem.Event) context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open++
	name := fmt.Sprintf("%v/%d", ctx.Value(spanKey{}), e.Attempt)
	s.said = append(s.said, fmt.Sprintf("start %s %s", name, e.Operation.Name))
	return context.WithValue(ctx, spanKey{}, name)
}

func (s *spans) End(ctx context.Context, e idem.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
	line := fmt.Sprintf("end %v %s %d %s", ctx.Value(spanKey{}), e.State, e.Status, e.Reason)
	if e.Err != nil {
		line += " error"
	}
	s.said = append(s.said, line)
}

func (s *spans) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	said := s.said
	s.said = nil
	return said
}

// An observer is told of each call and of each attempt in it, with a context that
// goes from the caller through the call into the attempt and onto the wire.
func TestAnObserverIsToldOfCallsAndAttempts(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	require.NoError(t, w.Server.Script(idemtest.Fault{Kind: idemtest.DropAfter}, idemtest.Fault{Kind: idemtest.Unavailable503}))
	s := &spans{}
	var onWire []string
	base := clientkit.RoundTrip(func(req *http.Request) (*http.Response, error) {
		onWire = append(onWire, fmt.Sprint(req.Context().Value(spanKey{})))
		return http.DefaultTransport.RoundTrip(req)
	})
	limited := idem.Policy{Limit: idem.Limit{Intents: 1, Per: 1 << 40}, Window: 1 << 40}
	c := w.Open(idem.WithPolicy("create_invoice", clientkit.Stripe()), idem.WithObserver(s), idem.WithTransport(base))
	ctx := context.WithValue(testkit.Context(t), spanKey{}, "caller")
	do := func(id string, cents int) error {
		resp, err := c.Do(w.Invoice(cents).WithContext(ctx), invoiceOp(id))
		if err == nil {
			err = resp.Body.Close()
		}
		return err
	}
	require.NoError(t, do("1", 500))
	require.Equal(t, []string{
		"start caller/0 create_invoice",
		"start caller/0/1 create_invoice", "end caller/0/1 pending 0 connection lost error",
		"start caller/0/2 create_invoice", "end caller/0/2 pending 503 http 503 error",
		"start caller/0/3 create_invoice", "end caller/0/3 succeeded 200 http 200",
		"end caller/0 succeeded 200 http 200",
	}, s.take())
	require.Equal(t, []string{"caller/0/1", "caller/0/2", "caller/0/3"}, onWire)

	require.NoError(t, do("1", 500))
	require.Equal(t, []string{"start caller/0 create_invoice", "end caller/0 succeeded 0 replayed"}, s.take())
	require.ErrorIs(t, do("1", 501), idem.ErrMismatch)
	require.Equal(t, []string{"start caller/0 create_invoice", "end caller/0 succeeded 0 mismatch error"}, s.take())
	status := do("2", -1)
	require.NoError(t, status)
	require.Equal(t, "end caller/0 failed 400 http 400", last(s.take()))

	inside := ""
	_, err := idem.NewTool(c, "charge", limited, func(ctx context.Context, _ string, _ charge) (paid, error) {
		inside = fmt.Sprint(ctx.Value(spanKey{}))
		return paid{}, nil
	})
	require.NoError(t, err)
	for _, step := range []struct{ id, args, says string }{
		{"a", `{"cents":1}`, "end caller/0 succeeded 0 done"},
		{"b", `{"cents":1}`, "end caller/0 succeeded 0 reemitted"},
		{"c", `{"cents":2}`, "end caller/0 pending 0 limit error"},
	} {
		c.Call(ctx, "charge", step.id, []byte(step.args))
		require.Equal(t, step.says, last(s.take()))
	}
	require.Equal(t, "caller/0/1", inside)
	require.Zero(t, s.open, "what was started was ended")
	w.UncheckedIn(c)
}

func last(lines []string) string { return lines[len(lines)-1] }

// Whoever joins is told of as well; the observer may be called from many
// goroutines.
func TestAnObserverIsToldOfWhoJoins(t *testing.T) {
	t.Parallel()
	s := &spans{}
	c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithObserver(s))
	inside, goOn := make(chan struct{}), make(chan struct{})
	tool, _ := chargeTool(t, c, idem.Policy{}, func(int) (paid, error) { close(inside); <-goOn; return paid{}, nil })
	done := make(chan error, 2)
	call := func(ctx context.Context) {
		_, err := tool.Call(ctx, "1", charge{})
		done <- err
	}
	go call(testkit.Context(t))
	<-inside
	ctx := clientkit.Watch(testkit.Context(t), 1)
	go call(ctx)
	ctx.Waiting(t)
	close(goOn)
	require.NoError(t, <-done)
	require.NoError(t, <-done)
	require.Contains(t, s.take(), "end <nil>/0 succeeded 0 coalesced")
	require.Zero(t, s.open)
}

// The log has one line at Info for each settled intent, however it was settled:
// operation, key, outcome, attempts, and nothing secret.
func TestTheLogHasOneLineASettledIntent(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	var text bytes.Buffer
	var mu sync.Mutex
	logger := slog.New(slog.NewTextHandler(&lockedWriter{&mu, &text}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	p := clientkit.Stripe()
	p.Retry.MaxAttempts = 2
	none := clientkit.PromisesNothing()
	c := w.Open(idem.WithPolicy("create_invoice", p), idem.WithPolicy("once", none), idem.WithLogger(logger))
	lines := func() []string {
		mu.Lock()
		defer mu.Unlock()
		got := strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
		text.Reset()
		return got
	}
	post := func(op, id string, cents int) string {
		req := w.Invoice(cents)
		req.URL.RawQuery = "api_key=sk_query_secret"
		req.Header.Set("Cookie", "session=cookie_secret")
		ctx := idem.WithOperation(testkit.Context(t), idem.Operation{Name: op, ID: id, Scope: "run-42"})
		c.Transport(nil).RoundTrip(req.WithContext(ctx))
		in, _ := idem.FromContext(ctx)
		return in.Key()
	}
	require.NoError(t, w.Server.Script(idemtest.Fault{Kind: idemtest.DropAfter}))
	key := post("create_invoice", "1", 500)
	got := lines()
	require.Len(t, got, 1)
	for _, want := range []string{"level=INFO", "operation=create_invoice", "key=" + key, "outcome=succeeded", "attempts=2", "scope=run-42"} {
		require.Contains(t, got[0], want)
	}
	post("create_invoice", "1", 500)
	require.Equal(t, []string{""}, lines(), "a replay settles nothing")
	post("create_invoice", "2", -1)
	refused := lines()
	require.Len(t, refused, 1)
	require.Contains(t, refused[0], "outcome=failed")

	require.NoError(t, w.Server.Script(idemtest.Fault{Kind: idemtest.DropAfter}))
	key = post("once", "3", 500)
	require.Equal(t, []string{""}, lines(), "in doubt is not settled")
	require.NoError(t, c.Resolve(testkit.Context(t), key, idem.Resolution{State: idem.Succeeded, Result: []byte("{}"), Note: "Ada looked"}))
	w.Unchecked = append(w.Unchecked, key)
	resolved := lines()
	require.Len(t, resolved, 1)
	require.Contains(t, resolved[0], "outcome=succeeded")
	for _, line := range append(append(got, refused...), resolved...) {
		for _, hidden := range []string{testkit.Secret, "secret", "amount", "127.0.0.1"} {
			require.NotContains(t, line, hidden)
		}
	}
}

// lockedWriter lets a test read what others write.
type lockedWriter struct {
	mu *sync.Mutex
	to *bytes.Buffer
}

func (w *lockedWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.to.Write(b)
}
