package idem_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/idemtest"
	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
	"github.com/idem-go/idem/journal"
)

// outage is a transport to a host that can be down.
func outage() (down *atomic.Bool, transport *http.Transport) {
	down = &atomic.Bool{}
	return down, &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		if down.Load() {
			return nil, errors.New("the host is down")
		}
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}}
}

// explosive is an Observer that runs code of the test's own.
type explosive struct{ start, end func(idem.Event) }

func (e explosive) Start(ctx context.Context, ev idem.Event) context.Context {
	if e.start != nil {
		e.start(ev)
	}
	return ctx
}

func (e explosive) End(_ context.Context, ev idem.Event) {
	if e.end != nil {
		e.end(ev)
	}
}

// TestExecute_ProgramsCodePanicsAfterTheSend_LeavesDoubt: promise 3. A run that ended
// without a row may have sent: whatever comes next, the intent is not taken for one
// that was never sent, and no other payload is sent under its identity.
func TestExecute_ProgramsCodePanicsAfterTheSend_LeavesDoubt(t *testing.T) {
	t.Parallel()
	boom := func(on *atomic.Bool, exit bool) {
		if on.Load() && exit {
			runtime.Goexit()
		}
		if on.Load() {
			panic("boom")
		}
	}
	for name, set := range map[string]func(on *atomic.Bool, p *idem.Policy) []idem.Option{
		"verdict": func(on *atomic.Bool, p *idem.Policy) []idem.Option {
			p.Contract.Verdict = func(*http.Response, []byte) idem.Verdict { boom(on, false); return idem.ReplyUsual }
			return nil
		},
		"verdict exits": func(on *atomic.Bool, p *idem.Policy) []idem.Option {
			p.Contract.Verdict = func(*http.Response, []byte) idem.Verdict { boom(on, true); return idem.ReplyUsual }
			return nil
		},
		"reconcile": func(on *atomic.Bool, p *idem.Policy) []idem.Option {
			p.Contract.Verdict = func(*http.Response, []byte) idem.Verdict {
				if on.Load() {
					return idem.ReplyUnknown
				}
				return idem.ReplyUsual
			}
			p.Reconcile = func(context.Context, *idem.Intent) (idem.Resolution, error) {
				boom(on, false)
				return idem.Resolution{}, errors.New("not known")
			}
			return nil
		},
		"observer sees the attempt end": func(on *atomic.Bool, p *idem.Policy) []idem.Option {
			p.Contract.Verdict = func(*http.Response, []byte) idem.Verdict {
				if on.Load() {
					return idem.ReplyUnknown
				}
				return idem.ReplyUsual
			}
			return []idem.Option{idem.WithObserver(explosive{end: func(e idem.Event) {
				if e.Attempt > 0 {
					boom(on, false)
				}
			}})}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := clientkit.NewServer(t)
			down, transport := outage()
			on := &atomic.Bool{}
			p := clientkit.Stripe()
			p.Retry.MaxAttempts = 1
			opts := set(on, &p)
			c := clientkit.NewClient(t, testkit.NewPath(t), append(opts, idem.WithPolicy("*", p), idem.WithTransport(transport))...)
			op := idem.Operation{Name: "charge", ID: "order-1"}
			do := func(cents int) error {
				_, err := c.Do(testkit.NewInvoice(t, server.URL(), cents), op)
				return err
			}
			on.Store(true)
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				defer func() { _ = recover() }()
				_ = do(100)
			}()
			<-ended
			require.Len(t, server.Effects(), 1)
			on.Store(false)
			down.Store(true)
			require.ErrorIs(t, do(100), idem.ErrInDoubt, "the host is down, and the first call may have worked")
			down.Store(false)
			require.ErrorIs(t, do(200), idem.ErrMismatch)
			require.NoError(t, do(100), "the key settles it")
			require.Len(t, server.Effects(), 1)
		})
	}
}

// TestExecute_ProgramsCodePanicsBeforeTheSend_NothingIsInDoubt: a panic before
// anything could be written leaves the intent as it was begun.
func TestExecute_ProgramsCodePanicsBeforeTheSend_NothingIsInDoubt(t *testing.T) {
	t.Parallel()
	server := clientkit.NewServer(t)
	down, transport := outage()
	on := &atomic.Bool{}
	on.Store(true)
	p := clientkit.Stripe()
	p.Retry.MaxAttempts = 1
	c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithPolicy("*", p), idem.WithTransport(transport),
		idem.WithObserver(explosive{start: func(e idem.Event) {
			if e.Attempt == 0 && on.Load() {
				panic("boom")
			}
		}}))
	op := idem.Operation{Name: "charge", ID: "order-1"}
	require.PanicsWithValue(t, "boom", func() { _, _ = c.Do(testkit.NewInvoice(t, server.URL(), 100), op) })
	on.Store(false)
	down.Store(true)
	_, err := c.Do(testkit.NewInvoice(t, server.URL(), 100), op)
	require.ErrorIs(t, err, idem.ErrNotSent)
	require.NotErrorIs(t, err, idem.ErrInDoubt)
}

// TestExecute_OutcomeKnownWhenTheObserverPanics_IsRecorded: promise 10. The reply was
// whole and read: it is the outcome, whatever the program's own code did afterwards.
func TestExecute_OutcomeKnownWhenTheObserverPanics_IsRecorded(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	on := &atomic.Bool{}
	on.Store(true)
	c := w.Open(idem.WithPolicy("*", clientkit.Stripe()), idem.WithObserver(explosive{end: func(e idem.Event) {
		if e.Attempt > 0 && on.Load() {
			panic("boom")
		}
	}}))
	op := idem.Operation{Name: "charge", ID: "order-1"}
	require.PanicsWithValue(t, "boom", func() { _, _ = c.Do(w.Invoice(500), op) })
	on.Store(false)
	in, err := c.Begin(testkit.Context(t), op, w.Invoice(500))
	require.NoError(t, err)
	require.Equal(t, idem.Succeeded, in.State())
	require.NoError(t, clientkit.Do(testkit.Context(t), in).Err)
	require.Len(t, w.Server.Arrivals(), 1)
}

// slowResolve is a journal whose Resolved rows wait for the test.
type slowResolve struct {
	journal.Journal
	writing, goOn chan struct{}
}

func (s *slowResolve) Change(ctx context.Context, c *journal.Change) (journal.Conflict, *journal.Record, error) {
	if c.Kind == journal.Resolved {
		close(s.writing)
		<-s.goOn
	}
	return s.Journal.Change(ctx, c)
}

// TestResolve_DoAtTheSameMoment_OneOfThemLoses: promise 3. While a person's answer is
// being written, a Do of the same process does not send; it gets that answer.
func TestResolve_DoAtTheSameMoment_OneOfThemLoses(t *testing.T) {
	t.Parallel()
	server := idemtest.Start(t)
	j, err := idem.OpenJournal(testkit.NewPath(t))
	require.NoError(t, err)
	slow := &slowResolve{j, make(chan struct{}), make(chan struct{})}
	c, err := idem.New(slow, idem.WithPolicy("*", clientkit.Stripe()))
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	op := idem.Operation{Name: "charge", ID: "order-1"}
	in, err := c.Begin(testkit.Context(t), op, testkit.NewInvoice(t, server.URL(), 100))
	require.NoError(t, err)

	var wg sync.WaitGroup
	var resolved error
	wg.Go(func() {
		resolved = c.Resolve(context.Background(), in.Key(), idem.Resolution{State: idem.Failed, Note: "ops: it was never sent"})
	})
	<-slow.writing
	waiting := make(chan struct{})
	ctx := clientkit.Watch(testkit.Context(t), 1)
	var done clientkit.Answer
	wg.Go(func() {
		close(waiting)
		done = clientkit.Do(ctx, in)
	})
	<-waiting
	ctx.Waiting(t)
	require.Error(t, c.Resolve(testkit.Context(t), in.Key(), idem.Resolution{State: idem.Succeeded}), "one answer at a time")
	close(slow.goOn)
	wg.Wait()
	require.NoError(t, resolved)
	require.ErrorIs(t, done.Err, idem.ErrRefused)
	require.Empty(t, server.Arrivals())
}

// brief is a policy whose attempts, and Reconcile, have a moment.
func brief() idem.Policy {
	p := clientkit.Stripe()
	p.Retry.MaxAttempts, p.Retry.AttemptTimeout = 1, 50*time.Millisecond
	return p
}

// doSent calls Do again while the attempt's moment is over before it is sent.
func doSent(t *testing.T, c *idem.Client) (err error) {
	err = idem.ErrNotSent
	for ctx := testkit.Context(t); errors.Is(err, idem.ErrNotSent) && !errors.Is(err, idem.ErrInDoubt) && ctx.Err() == nil; {
		_, err = c.Do(testkit.NewInvoice(t, "http://localhost", 500), clientkit.Order())
	}
	return err
}

// TestExecute_ProgramsCodeNeverReturns_IsGivenUp: neither the caller nor Close waits for
// code that does not look at its context. What it does may have happened.
func TestExecute_ProgramsCodeNeverReturns_IsGivenUp(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]func(p *idem.Policy, wait func()) http.RoundTripper{
		"reconcile": func(p *idem.Policy, wait func()) http.RoundTripper {
			p.Reconcile = func(context.Context, *idem.Intent) (idem.Resolution, error) {
				wait()
				return idem.Resolution{State: idem.Failed}, nil
			}
			return clientkit.RoundTrip(func(*http.Request) (*http.Response, error) { return nil, errors.New("lost") })
		},
		"transport": func(_ *idem.Policy, wait func()) http.RoundTripper {
			return clientkit.RoundTrip(func(*http.Request) (*http.Response, error) { wait(); return nil, errors.New("lost") })
		},
		"authorize": func(p *idem.Policy, wait func()) http.RoundTripper {
			p.Authorize = func(*http.Request) error { wait(); return nil }
			return clientkit.RoundTrip(func(*http.Request) (*http.Response, error) { panic("sent after it was given up") })
		},
		"verdict": func(p *idem.Policy, wait func()) http.RoundTripper {
			p.Contract.Verdict = func(*http.Response, []byte) idem.Verdict { wait(); return idem.ReplyRefused }
			return clientkit.Instant{Body: "{}"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			forever, over := make(chan struct{}), make(chan struct{})
			p := brief()
			path := testkit.NewPath(t)
			base := set(&p, func() { defer close(over); <-forever })
			c, err := idem.Open(path, idem.WithPolicy("*", p), idem.WithTransport(base), idem.WithGrace(time.Millisecond))
			require.NoError(t, err)
			require.ErrorIs(t, doSent(t, c), idem.ErrInDoubt)
			require.NoError(t, c.Close())
			close(forever)
			<-over
			all := clientkit.ReadJournal(t, path)
			require.Len(t, all, 1)
			require.Equal(t, idem.InDoubt, all[0].State(), "what comes too late is ignored")
			require.Contains(t, fmt.Sprint(all[0].History()), "did not return within")
		})
	}
}

// TestExecute_TransportReturnsLate_RecordsTheSuccess: promise 4. A proven success is the
// outcome, however late it comes; until then nothing is sent beside it.
func TestExecute_TransportReturnsLate_RecordsTheSuccess(t *testing.T) {
	t.Parallel()
	goOn := make(chan struct{})
	c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithPolicy("*", brief()), idem.WithGrace(time.Millisecond),
		idem.WithTransport(clientkit.RoundTrip(func(r *http.Request) (*http.Response, error) {
			<-goOn
			return clientkit.Instant{Body: "{}"}.RoundTrip(r)
		})))
	require.ErrorIs(t, doSent(t, c), idem.ErrInDoubt)
	require.ErrorContains(t, doSent(t, c), "still runs here")
	close(goOn)
	waitState(t, c, idem.Succeeded)
	require.Equal(t, "{}", string(only(t, c).Outcome()))
}

// TestDo_InsideItsOwnExecution_IsAnErrorAtOnce: it would wait for itself, and so would
// Close. The context says so, at any depth.
func TestDo_InsideItsOwnExecution_IsAnErrorAtOnce(t *testing.T) {
	t.Parallel()
	for _, place := range []string{"reconcile", "authorize", "transport", "observer", "observer of the attempt", "child"} {
		t.Run(place, func(t *testing.T) {
			t.Parallel()
			var c *idem.Client
			var inner []error
			again := func(ctx context.Context, at string) {
				if at == place && inner == nil {
					inner = []error{} // once
					_, err := c.Do(testkit.NewInvoice(t, "http://localhost", 500).WithContext(ctx), clientkit.Order())
					inner = append(inner, err)
				}
			}
			p := clientkit.Stripe()
			p.Retry.MaxAttempts = 1
			p.Authorize = func(r *http.Request) error { again(r.Context(), "authorize"); return nil }
			p.Reconcile = func(ctx context.Context, _ *idem.Intent) (idem.Resolution, error) {
				again(ctx, "reconcile")
				return idem.Resolution{State: idem.Succeeded, Result: []byte("{}")}, nil
			}
			c = clientkit.NewClient(t, testkit.NewPath(t), idem.WithPolicy("*", p),
				idem.WithObserver(inside(again)),
				idem.WithTransport(clientkit.RoundTrip(func(r *http.Request) (*http.Response, error) {
					again(r.Context(), "transport")
					if place == "child" && r.URL.Path != "/child" { // another intent's execution asks for this one's
						req, err := http.NewRequestWithContext(r.Context(), http.MethodPost, "http://localhost/child", nil)
						require.NoError(t, err)
						_, err = c.Do(req, idem.Operation{Name: "child", ID: "1"})
						require.NoError(t, err)
					} else if place == "child" {
						again(r.Context(), place)
					}
					if place == "reconcile" {
						return nil, errors.New("lost")
					}
					return clientkit.Instant{Body: "{}"}.RoundTrip(r)
				})))
			resp, err := c.Do(testkit.NewInvoice(t, "http://localhost", 500), clientkit.Order())
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.Len(t, inner, 1)
			require.ErrorContains(t, inner[0], "would wait for itself")
		})
	}
}

// inside is an Observer that uses the client.
type inside func(ctx context.Context, at string)

func (f inside) Start(ctx context.Context, e idem.Event) context.Context {
	if e.Attempt == 0 {
		f(ctx, "observer")
	} else {
		f(ctx, "observer of the attempt")
	}
	return ctx
}

func (inside) End(context.Context, idem.Event) {}

// TestDo_ServerSwitchesProtocols_IsInDoubt: neither Do nor Close waits for a reply that
// never comes.
func TestDo_ServerSwitchesProtocols_IsInDoubt(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		conn, _, hijackErr := http.NewResponseController(w).Hijack()
		if errors.Join(err, hijackErr) == nil {
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
		}
	}))
	t.Cleanup(s.Close)
	p := clientkit.Stripe()
	p.Retry.MaxAttempts = 1
	c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithPolicy("*", p))
	_, err := c.Do(testkit.NewInvoice(t, s.URL, 500), clientkit.Order())
	require.ErrorIs(t, err, idem.ErrInDoubt)
	require.ErrorContains(t, err, "101")
}
