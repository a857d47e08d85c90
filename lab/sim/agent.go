package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/journal"
	"github.com/idem-go/idem/lab/history"
)

func newReader(b []byte) io.Reader { return bytes.NewReader(b) }

// agent is one life of a process: from Open to its crash, or its end.
type agent struct {
	w      *world
	name   string
	opener *opener
	client *idem.Client
	died   chan struct{} // closed by the crash
	once   sync.Once

	mu     sync.Mutex
	fuel   int // points until the crash; 0: it does not crash
	calm   int // no crash while this is not 0: its clock was just set
	minted int
}

// crash ends the process at once: nothing more reaches the journal or the far side.
func (a *agent) crash(where string) {
	a.once.Do(func() {
		a.w.log("%s: crash %s", a.name, where)
		a.w.crashes.Add(1)
		_ = a.opener.kill() // it has no error
		close(a.died)
	})
}

func (a *agent) isDead() bool {
	select {
	case <-a.died:
		return true
	default:
		return false
	}
}

// point is a place at which the process may crash.
func (a *agent) point(where string) {
	a.mu.Lock()
	here := false
	if a.fuel > 0 && a.calm == 0 {
		a.fuel--
		here = a.fuel == 0
	}
	a.mu.Unlock()
	if here {
		a.crash(where)
	}
}

// tired is a journal that takes its time, and at whose every write the process may
// crash, before it or after it.
type tired struct {
	idem.Journal
	a *agent
}

func (t tired) Begin(ctx context.Context, r *journal.Record, g journal.Checks) (journal.Conflict, *journal.Record, error) {
	t.a.w.align(r.Key, 0)
	t.a.point("before begin")
	obstacle, standing, err := t.Journal.Begin(ctx, r, g)
	t.a.point("after begin")
	if t.a.isDead() {
		return 0, nil, errDead
	}
	return obstacle, standing, err
}

func (t tired) Change(ctx context.Context, c *journal.Change) (journal.Conflict, *journal.Record, error) {
	where := fmt.Sprintf("change %d of %s, kind %d to %s (%s)", c.Version, c.Key, c.Kind, c.State, c.Reason)
	t.a.w.align(c.Key, -c.Version)
	t.a.point("before " + where)
	change := t.a.w.broken.change(c)
	conflict, standing, err := t.Journal.Change(ctx, change)
	if err == nil {
		t.a.w.log("%s: %s: %t", t.a.name, where, conflict == journal.NoConflict)
	}
	t.a.point("after " + where)
	if t.a.isDead() {
		return journal.NoConflict, nil, errDead
	}
	return conflict, standing, err
}

func (t tired) Value(ctx context.Context, name string, update func([]byte) ([]byte, error)) ([]byte, error) {
	if t.a.w.broken == Trusting && update != nil { // what is known of the clock is not kept
		old, err := t.Journal.Value(ctx, name, nil)
		if err != nil {
			return nil, err
		}
		return update(old)
	}
	t.a.point("before value")
	return t.Journal.Value(ctx, name, update)
}

// start opens the journal as a new process, which may crash over that.
func (w *world) start(name string, fuel int) (*agent, error) {
	a := &agent{w: w, name: name, opener: w.store.open(), died: make(chan struct{}), fuel: fuel}
	p := idem.Policy{
		Contract: idem.Stripe(),
		Retry: idem.Retry{
			MaxAttempts: 1 + w.dice(5, "attempts"), MinBackoff: 1, MaxBackoff: time.Second, AttemptTimeout: w.timeout,
		},
	}
	p.Contract.Retention = w.promised
	p.Contract.NewKey = func() string {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.minted++
		return fmt.Sprintf("%s-%d", a.name, a.minted)
	}
	if w.keyless {
		p.Contract = idem.Contract{NewKey: p.Contract.NewKey}
	}
	client, err := idem.New(tired{a.opener, a}, idem.WithPolicy("charge", p), idem.WithTransport(w.broken.wire(wire{w.far, a})),
		idem.WithClock(w.wall), idem.WithRetention(time.Hour*24*300, time.Hour*24*400))
	if err != nil {
		return a, fmt.Errorf("%s: %w", name, err)
	}
	a.client = client
	w.log("%s: start", name)
	return a, nil
}

// end closes the client: of a dead process, so that nothing of it is left here.
func (a *agent) end() {
	err := a.client.Close()
	if a.isDead() {
		return
	}
	a.w.log("%s: end", a.name)
	if err != nil {
		a.w.bad("%s: Close: %v", a.name, err)
	}
}

// ask is one call. It tells what went wrong that should not.
func (a *agent) ask(order int, timeout time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	id := fmt.Sprint("order-", order)
	req, err := http.NewRequest(http.MethodPost, "http://far.invalid/charges", bytes.NewReader(fmt.Appendf(nil, "order=%d", order)))
	if err != nil {
		a.w.bad("%v", err)
		return
	}
	in, err := a.client.Begin(ctx, idem.Operation{Name: "charge", ID: id}, req)
	if err == nil {
		if !a.isDead() {
			a.w.tell(history.Tell{Kind: history.Begun, ID: id, Key: in.Key()})
		}
		var resp *http.Response
		if resp, err = in.Do(ctx); err == nil {
			body, readErr := io.ReadAll(resp.Body)
			if readErr == nil && !a.isDead() {
				a.w.log("%s: %s answered %d %s", a.name, id, resp.StatusCode, body)
				a.w.tell(history.Tell{Kind: history.Answered, ID: id, Key: in.Key(), Status: resp.StatusCode, Sum: history.Sum(body)})
			}
			return
		}
	}
	if a.isDead() {
		return
	}
	a.w.log("%s: %s: %v", a.name, id, err)
	for _, expected := range []error{idem.ErrInDoubt, idem.ErrNotSent, idem.ErrRefused, context.DeadlineExceeded} {
		if errors.Is(err, expected) {
			return
		}
	}
	a.w.bad("%s: %s: %v", a.name, id, err)
}

// ownedNow looks who owns what is about to be sent.
func (a *agent) ownedNow(key string) {
	r, err := a.opener.Get(context.Background(), key)
	if err == nil && r != nil {
		a.w.tell(history.Tell{Kind: history.Sending, ID: r.Operation.ID, Key: key, Owner: r.Owner, State: r.Summary().State})
	}
}

// live is a process at work: it recovers, asks, waits, has its clock set, and
// crashes or ends.
func (a *agent) live(random *rand.Rand) {
	defer a.end()
	if random.IntN(3) > 0 {
		if _, err := a.client.Recover(context.Background()); err != nil && !a.isDead() {
			a.w.bad("%s: Recover: %v", a.name, err)
		}
	}
	for range 1 + random.IntN(8) {
		if a.isDead() {
			return
		}
		switch random.IntN(6) {
		case 0:
			a.setClock(random)
		case 1:
			a.rest(time.Duration(random.IntN(200)) * time.Second)
		default:
			timeout := time.Duration(1+random.IntN(100)) * time.Second
			first := random.IntN(a.w.orders)
			var wg sync.WaitGroup
			for n := range 1 + random.IntN(2) { // two callers, perhaps of the same order
				order := (first + n*random.IntN(2)) % a.w.orders
				wg.Go(func() {
					time.Sleep(time.Duration(n*137+1) * time.Nanosecond)
					a.ask(order, timeout)
				})
			}
			wg.Wait()
		}
	}
}

func (a *agent) rest(d time.Duration) {
	timer := time.NewTimer(d + time.Duration(len(a.name)))
	defer timer.Stop()
	select {
	case <-a.died:
	case <-timer.C:
	}
}

// setClock sets the machine's clock, forward or back. A step back is made durable by
// whoever lives within seconds: before that no crash, which nobody could tell from a
// clock that was always behind.
func (a *agent) setClock(random *rand.Rand) {
	if random.IntN(3) == 0 {
		return
	}
	a.ask(random.IntN(a.w.orders), time.Minute) // it writes, so it looks after the clock
	a.mu.Lock()
	a.calm++
	a.mu.Unlock()
	step := time.Duration(random.Int64N(int64(2*a.w.promised))) - a.w.promised
	a.w.step(a, step)
	a.rest(noticed)
	a.mu.Lock()
	a.calm--
	a.mu.Unlock()
}
