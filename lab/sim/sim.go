package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/idem-go/idem/journal"
	"github.com/idem-go/idem/lab/history"
)

// world is one seed: a journal, a far side, a clock, and agents.
type world struct {
	seed     uint64
	keyless  bool
	orders   int
	timeout  time.Duration // of an attempt
	promised time.Duration // the contract's retention
	broken   Break
	store    *store
	far      *far
	work     sync.WaitGroup // what is under way on the wire
	crashes  atomic.Int64

	mu    sync.Mutex
	began time.Time
	ahead time.Duration // of the machine's clock
	known time.Time     // when the last step of it is durable, since somebody lives who saw it
	trace strings.Builder
	told  []history.Tell
	found []string
	first map[string]time.Time // arrivals, by key
}

// Break is how the library, or the far side, is broken: a negative control.
type Break string

// The controls.
const (
	Whole       Break = ""
	NewKeys     Break = "a new key at each attempt"
	IgnoresKeys Break = "a far side that ignores keys"
	Trusting    Break = "a clock that is believed"
	Hopeful     Break = "take-over that takes silence for nothing sent"
)

// change is a change as it is written.
func (b Break) change(c *journal.Change) *journal.Change {
	if b != Hopeful || c.Kind != journal.Claimed || c.Reason != "owner died" {
		return c
	}
	next := *c
	next.MayHaveExecuted, next.FirstSent, next.WindowStart = false, time.Time{}, c.At
	return &next
}

// wire is the way to the far side.
func (b Break) wire(t wire) http.RoundTripper {
	if b == NewKeys {
		return rekeyed{t}
	}
	return t
}

// rekeyed puts another key on each attempt.
type rekeyed struct{ wire }

func (r rekeyed) RoundTrip(req *http.Request) (*http.Response, error) {
	r.f.mu.Lock()
	n := len(r.f.arrivals)
	r.f.mu.Unlock()
	req = req.Clone(req.Context())
	req.Header.Set("Idempotency-Key", fmt.Sprint(req.Header.Get("Idempotency-Key"), "+", n))
	return r.wire.RoundTrip(req)
}

func (w *world) log(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	fmt.Fprintf(&w.trace, "%14v ", time.Since(w.began).Truncate(time.Millisecond)) // backoff is random by a nanosecond
	fmt.Fprintf(&w.trace, format, args...)
	w.trace.WriteByte('\n')
	if w.trace.Len() > 1<<20 {
		panic("without end:\n" + w.trace.String()[:6000])
	}
}

func (w *world) bad(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	w.log("BROKEN: %s", text)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.found = append(w.found, text)
}

func (w *world) tell(t history.Tell) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told = append(w.told, t)
}

// wall is the machine's clock: it has no monotonic part to help.
func (w *world) wall() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Round(0).Add(w.ahead)
}

func (w *world) step(a *agent, d time.Duration) {
	if a.isDead() {
		return // a step back that no process lives through cannot be seen by any
	}
	w.mu.Lock()
	w.ahead += d
	w.known = time.Now().Add(noticed)
	w.mu.Unlock()
	w.log("%s: the clock is set by %v", a.name, d)
}

// noticed is after how long a step of the clock is durable, where somebody lives who
// saw it.
const noticed = 6 * time.Second

// settled waits until the last step of the clock is known: a process that starts
// within seconds of one has no way of telling it from a clock that was always so.
func (w *world) settled(n int) {
	for {
		w.mu.Lock()
		left := time.Until(w.known)
		w.mu.Unlock()
		if left <= 0 {
			return
		}
		time.Sleep(left + time.Duration(n*17+1)*time.Nanosecond)
	}
}

// arrived looks at the one thing that only true time tells: a key that is used
// after the far side may have forgotten it.
func (w *world) arrived(key string, now time.Time) {
	w.mu.Lock()
	first, known := w.first[key]
	if !known {
		w.first[key] = now
	}
	w.mu.Unlock()
	if known && !w.keyless && now.Sub(first) > w.far.retention {
		w.bad("%s: key %s was sent %v after its first arrival, and the far side honours it for %v", history.Expired, key, now.Sub(first), w.far.retention)
	}
}

// Result is what came of one seed.
type Result struct {
	Seed    uint64
	Found   []string // what must never be
	Trace   string
	Crashes int
	Effects int
	Lived   time.Duration // simulated
}

// run runs one seed. It is called in a bubble.
func run(seed uint64, broken Break) Result {
	random := rand.New(rand.NewPCG(seed, 3))
	w := &world{
		seed: seed, orders: 2 + random.IntN(5), broken: broken, store: newStore(),
		timeout:  time.Duration(20+random.IntN(40)) * time.Second,
		promised: []time.Duration{5 * time.Minute, 20 * time.Minute, 3 * time.Hour, 24 * time.Hour}[random.IntN(4)],
		began:    time.Now(), first: map[string]time.Time{},
	}
	w.keyless = random.IntN(4) == 0 && broken == Whole
	w.far = newFar(w, w.promised, w.keyless || broken == IgnoresKeys)
	w.log("seed %d: keyless %t, %d orders, attempts of %v, keys kept for %v", seed, w.keyless, w.orders, w.timeout, w.promised)
	var wg sync.WaitGroup
	for n := range 1 + random.IntN(3) {
		own := rand.New(rand.NewPCG(seed, uint64(100+n)))
		wg.Go(func() { w.lives(n, own) })
	}
	wg.Wait()
	w.work.Wait()
	w.finish()
	return Result{seed, w.found, w.trace.String(), int(w.crashes.Load()), len(w.far.effects), time.Since(w.began)}
}

// lives is one agent that is started again and again.
func (w *world) lives(n int, random *rand.Rand) {
	time.Sleep(time.Duration(n*7+1) * time.Microsecond)
	for life := range 2 + random.IntN(6) {
		w.settled(n)
		fuel := 0
		if random.IntN(4) > 0 {
			fuel = 1 + random.IntN(30)
		}
		a, err := w.start(fmt.Sprintf("agent-%d.%d", n, life), fuel)
		switch {
		case err == nil:
			a.live(random)
		case !a.isDead():
			w.bad("%v", err)
			return
		}
		down := time.Duration(random.IntN(60)) * time.Second
		if random.IntN(3) == 0 { // until keys expire, or nearly
			down = time.Duration(random.Int64N(int64(w.promised) * 3 / 2))
		}
		time.Sleep(down + time.Duration(n*13+1)*time.Nanosecond)
	}
}

// finish is a careful agent after all the others: then all is judged.
func (w *world) finish() {
	a, err := w.start("last", 0)
	if err != nil {
		w.bad("%v", err)
		return
	}
	if _, err := a.client.Recover(context.Background()); err != nil {
		w.bad("Recover: %v", err)
	}
	for order := range w.orders {
		a.ask(order, 10*time.Minute)
	}
	a.end()
	w.work.Wait()
	intents, err := history.Read(context.Background(), w.store.open())
	if err != nil {
		w.bad("%v", err)
		return
	}
	for _, v := range history.Judge(history.Run{Intents: intents, Ledger: w.far.ledger(), Told: w.told}) {
		w.bad("%v", v)
	}
}
