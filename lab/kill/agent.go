//go:build linux && cgo

package kill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/journal"
	"github.com/idem-go/idem/lab/history"
)

// agentEnv makes this binary an agent: the work as JSON.
const agentEnv = "IDEM_LAB_AGENT"

// work is what one agent process does, and where it dies.
type work struct {
	Agent       int
	Journal     string
	Server      string
	Unreachable []string // where an attempt now and then goes instead, in the order of strays
	Seed        uint64
	First       int // the first order
	Orders      int // how many
	Keyless     bool
	SkipRecover bool
	Steal       bool   // it tries to settle what others own
	Break       string // how the library is broken: a negative control
	Point       string // the failpoint it dies at; empty: it is killed from outside
	PointCount  int    // the time it is met
}

// Agent runs an agent where this process was started as one, and tells whether it
// was. A program that uses this package calls it first, and exits with the code.
func Agent() (code int, was bool) {
	text := os.Getenv(agentEnv)
	if text == "" {
		return 0, false
	}
	var w work
	err := json.Unmarshal([]byte(text), &w)
	if err == nil {
		err = w.run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1, true
	}
	return 0, true
}

// run recovers what others left, asks for every order in an order of its own, from
// two callers at once, and says what it is told.
func (w work) run() error {
	a := &agent{work: w, met: map[string]int{}, out: json.NewEncoder(os.Stdout), random: rand.New(rand.NewPCG(w.Seed, 1))}
	client, err := a.open()
	if err != nil {
		return err
	}
	a.point("opened")
	ctx := context.Background()
	if w.Steal {
		if err := a.steal(ctx); err != nil {
			return err
		}
	}
	if !w.SkipRecover {
		if _, err := client.Recover(ctx); err != nil {
			return fmt.Errorf("recover: %w", err)
		}
		a.point("recovered")
	}
	orders := a.random.Perm(w.Orders)
	errs := make([]error, 2)
	var wg sync.WaitGroup
	for caller := range errs {
		wg.Go(func() {
			for n, i := range orders {
				if n%2 == caller || w.Seed%3 == 0 { // or both ask for all
					if err := a.ask(ctx, client, w.First+i); err != nil {
						errs[caller] = err
						return
					}
				}
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	a.point("done")
	return client.Close()
}

// agent is a process at work.
type agent struct {
	work
	journal idem.Journal

	mu     sync.Mutex
	met    map[string]int
	out    *json.Encoder
	random *rand.Rand
}

// say tells what the agent was told. A line that was written outlives the process.
func (a *agent) say(t history.Tell) {
	a.mu.Lock()
	defer a.mu.Unlock()
	t.Agent = a.Agent
	_ = a.out.Encode(t) // the lab is gone: nobody asks any more
}

// point is a named place at which the process may be planned to die.
func (a *agent) point(name string) {
	if a.Point == "" {
		return
	}
	a.mu.Lock()
	a.met[name]++
	here := (a.Point == name || a.Point == "any") && a.met[name] >= a.PointCount
	if a.Point == "any" {
		a.met["any"]++
		here = a.met["any"] == a.PointCount
	}
	a.mu.Unlock()
	if here {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // until it is delivered
	}
}

func (a *agent) open() (*idem.Client, error) {
	return open(a.Journal, a.Keyless, &transport{a, newBase()}, func(j idem.Journal) idem.Journal {
		j = &pointed{Journal: breaking(a.Break, j), a: a}
		a.journal = j
		return j
	})
}

// open opens a journal as agents do.
func open(path string, keyless bool, base http.RoundTripper, around func(idem.Journal) idem.Journal) (*idem.Client, error) {
	j, err := idem.OpenJournal(path)
	if err != nil {
		return nil, err
	}
	c, err := idem.New(around(j), idem.WithPolicy(operation, policy(keyless)), idem.WithTransport(base), idem.WithMaxReply(2<<20))
	if err != nil {
		return nil, errors.Join(err, j.Close())
	}
	return c, nil
}

const operation = "charge"

func policy(keyless bool) idem.Policy {
	p := idem.Policy{
		Contract: idem.Stripe(),
		Retry:    idem.Retry{MaxAttempts: 4, MinBackoff: time.Millisecond, MaxBackoff: 2 * time.Millisecond, AttemptTimeout: 400 * time.Millisecond},
		Authorize: func(r *http.Request) error {
			r.Header.Set("Authorization", "Bearer sk_test_idem")
			return nil
		},
	}
	if keyless {
		p.Contract = idem.Contract{}
	}
	return p
}

func newBase() http.RoundTripper {
	return &http.Transport{MaxIdleConnsPerHost: 4, MaxResponseHeaderBytes: 64 << 10}
}

// request asks for order i. Its amount says which it is, whatever its key.
func request(server string, i int) (*http.Request, error) {
	req, err := http.NewRequest(http.MethodPost, server+"/v1/charges", strings.NewReader(fmt.Sprintf("amount=%d&currency=usd", 1000+i)))
	if err == nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Accept", "application/json")
	}
	return req, err
}

// orderID is the order's ID: a refused order is mended by asking for the same ID
// with another payload.
func orderID(i int) string { return fmt.Sprint("order-", i) }

func (a *agent) ask(ctx context.Context, client *idem.Client, i int) error {
	req, err := request(a.Server, i)
	if err != nil {
		return err
	}
	id := orderID(i)
	in, err := client.Begin(ctx, idem.Operation{Name: operation, ID: id}, req)
	if err != nil {
		return fmt.Errorf("begin %s: %w", id, err)
	}
	a.say(history.Tell{Kind: history.Begun, ID: id, Key: in.Key()})
	a.point("begun")
	resp, err := in.Do(ctx)
	switch {
	case err == nil:
	case errors.Is(err, idem.ErrInDoubt), errors.Is(err, idem.ErrNotSent), errors.Is(err, idem.ErrOutcomeTruncated), errors.Is(err, idem.ErrRefused):
		return nil
	default:
		return fmt.Errorf("do %s: %w", id, err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	a.say(history.Tell{Kind: history.Answered, ID: id, Key: in.Key(), Status: resp.StatusCode, Sum: history.Sum(body)})
	a.point("answered")
	return nil
}

// steal tries to put what living processes own in doubt, by the journal itself: what
// anybody may do whose owner is dead, and nobody else.
func (a *agent) steal(ctx context.Context) error {
	page, _, err := a.journal.Page(ctx, idem.Filter{States: []idem.State{idem.Pending}}, "", 64)
	if err != nil {
		return err
	}
	for _, r := range page {
		if r.Owner != journal.OwnedByLive {
			continue
		}
		st := r.Summary()
		st.Version++
		st.State, st.MayHaveExecuted = idem.InDoubt, true
		if st.FirstSent.IsZero() {
			st.FirstSent = st.WindowStart
		}
		began := time.Now()
		conflict, _, err := a.journal.Change(ctx, &journal.Change{Key: r.Key, Kind: journal.MarkedInDoubt, Summary: st, At: began, Reason: "robbery"})
		ok := conflict == journal.NoConflict
		if err != nil {
			return err
		}
		if ok {
			a.say(history.Tell{Kind: history.Stolen, Key: r.Key, At: began})
		}
	}
	return nil
}

// transport is the way to the server: it dies at points, says whose the intent is
// that is about to be sent, and loses its way now and then.
type transport struct {
	a    *agent
	base http.RoundTripper
}

func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	key := req.Header.Get("Idempotency-Key")
	t.a.point("before sending")
	if t.a.Seed%2 == 0 {
		if r, err := t.a.journal.Get(req.Context(), key); err == nil && r != nil {
			t.a.say(history.Tell{Kind: history.Sending, ID: r.Operation.ID, Key: key, Owner: r.Owner, State: r.Summary().State})
		}
	}
	t.a.mu.Lock()
	lost := t.a.random.IntN(24)
	t.a.mu.Unlock()
	if lost < len(t.a.Unreachable) {
		if u, err := url.Parse(t.a.Unreachable[lost]); err == nil {
			t.a.say(history.Tell{Kind: history.Strayed, Key: key, Note: strays()[lost]})
			req = req.Clone(req.Context())
			req.URL.Scheme, req.URL.Host = u.Scheme, u.Host
		}
	}
	resp, err := t.base.RoundTrip(rekeyed(t.a.Break, req))
	t.a.point("after the reply")
	return resp, err
}

// pointed is a journal with failpoints around each write.
type pointed struct {
	idem.Journal
	a *agent
}

func (p *pointed) Begin(ctx context.Context, r *journal.Record, g journal.Checks) (journal.Conflict, *journal.Record, error) {
	p.a.point("before begin")
	defer p.a.point("after begin")
	return p.Journal.Begin(ctx, r, g)
}

func (p *pointed) Change(ctx context.Context, c *journal.Change) (journal.Conflict, *journal.Record, error) {
	name := kindName(c.Kind)
	p.a.point("before " + name)
	defer p.a.point("after " + name)
	return p.Journal.Change(ctx, c)
}

func kindName(k journal.ChangeKind) string {
	switch k {
	case journal.Claimed:
		return "claim"
	case journal.AttemptStarted:
		return "mark"
	case journal.Released:
		return "release"
	case journal.MarkedInDoubt:
		return "doubt"
	}
	return "outcome"
}

// points are the failpoints that agents have.
func points() []string {
	return []string{
		"opened", "recovered", "before begin", "after begin", "begun", "before mark", "after mark", "before claim", "after claim",
		"before sending", "after the reply", "before outcome", "after outcome", "before doubt", "after doubt",
		"before release", "after release", "answered", "done", "any", "any", "any",
	}
}
