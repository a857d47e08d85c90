package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync"
	"time"

	"github.com/idem-go/idem/idemtest"
	"github.com/idem-go/idem/lab/history"
)

// far is the far side, in simulated time: it honours keys for its retention, loses
// requests and replies, is slow, and keeps a ledger. What goes wrong with an arrival
// follows from the seed, its key and its number alone.
type far struct {
	w         *world
	retention time.Duration
	ignores   bool // it knows no keys

	mu       sync.Mutex
	arrivals []idemtest.Arrival
	effects  []idemtest.Effect
	records  []idemtest.KeyRecord
	keys     map[string]*remembered
	count    map[string]int // arrivals by key
}

// remembered is what the far side knows of a key.
type remembered struct {
	since     time.Time
	executing bool
	status    int
	body      []byte
}

func newFar(w *world, retention time.Duration, ignores bool) *far {
	return &far{w: w, retention: retention, ignores: ignores, keys: map[string]*remembered{}, count: map[string]int{}}
}

// dice is a number that follows from the seed and what it is thrown for.
func (w *world) dice(sides int, what ...any) int {
	h := fnv.New64a()
	fmt.Fprintln(h, append([]any{w.seed}, what...)...)
	return int(h.Sum64() >> 8 % uint64(sides))
}

// wire is one agent's way to the far side. It ends with the agent.
type wire struct {
	f *far
	a *agent
}

var errLost = errors.New("the connection was lost")

// RoundTrip is one attempt. What was sent arrives whether the agent lives on or not.
func (t wire) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	key := req.Header.Get("Idempotency-Key")
	t.a.ownedNow(key)
	t.a.point("before sending")
	if t.a.isDead() {
		return nil, errDead
	}
	f, w := t.f, t.f.w
	f.mu.Lock()
	f.count[key]++
	n := f.count[key]
	f.mu.Unlock()
	w.align(key, n)
	trace := httptrace.ContextClientTrace(req.Context())
	if trace != nil && trace.GetConn != nil {
		trace.GetConn(req.URL.Host)
	}
	if w.dice(12, "no connection", key, n) == 0 {
		return nil, errors.New("no connection")
	}
	if trace != nil && trace.GotConn != nil {
		trace.GotConn(httptrace.GotConnInfo{})
	}
	replied := make(chan *http.Response, 1)
	w.work.Go(func() {
		time.Sleep(w.delay("way there", key, n, 5*time.Second))
		resp := f.arrive(key, body, n)
		time.Sleep(w.delay("way back", key, n, 5*time.Second))
		if resp != nil {
			resp.Request = req
		}
		replied <- resp
	})
	select {
	case <-req.Context().Done():
		return nil, req.Context().Err()
	case <-t.a.died:
		return nil, errDead
	case resp := <-replied:
		t.a.point("after the reply")
		if resp == nil {
			return nil, errLost
		}
		return resp, nil
	}
}

// align waits for a moment of this attempt's own in the next millisecond or the one
// after it. Backoff is random, by a nanosecond here, and no seed says how: from here
// on that is forgotten.
func (w *world) align(key string, n int) {
	const step = time.Millisecond
	since := time.Since(w.began)
	at := since.Truncate(step) + step + time.Duration(w.dice(int(step)/2, "moment", key, n))
	time.Sleep(at - since)
}

// delay is mostly short, now and then nearly the longest. No two are the same.
func (w *world) delay(what, key string, n int, longest time.Duration) time.Duration {
	d := time.Duration(1+w.dice(20, what, key, n)) * time.Millisecond
	if w.dice(10, what, "long", key, n) == 0 {
		d = longest * time.Duration(1+w.dice(9, what, "how long", key, n)) / 10
	}
	return d + time.Duration(w.dice(100_000, what, "residue", key, n))*time.Nanosecond
}

// arrive is one request at the far side; nil: its reply is lost.
func (f *far) arrive(key string, body []byte, n int) *http.Response {
	w := f.w
	f.mu.Lock()
	now := time.Now()
	a := idemtest.Arrival{Seq: len(f.arrivals) + 1, At: now, Method: http.MethodPost, Key: key, BodyHash: history.Sum(body)}
	f.arrivals = append(f.arrivals, a)
	w.log("far side: arrival %d of %s", a.Seq, key)
	w.arrived(key, now)
	goes := w.dice(14, "fault", key, n)
	switch goes {
	case 0:
		f.mu.Unlock()
		return nil // lost before anything was done
	case 1:
		f.mu.Unlock()
		return answer(http.StatusTooManyRequests, []byte(`{"error":{"type":"rate_limit_error"}}`), fmt.Sprint(w.dice(30, "retry", key, n)))
	case 2:
		f.mu.Unlock()
		return answer(http.StatusServiceUnavailable, []byte("{}"), "")
	}
	k := f.keys[key]
	if k != nil && now.Sub(k.since) >= f.retention && !k.executing {
		k = nil // forgotten
	}
	if k != nil && !f.ignores {
		defer f.mu.Unlock()
		if k.executing {
			return answer(http.StatusConflict, []byte(`{"error":{"type":"idempotency_error","code":"idempotency_key_in_use"}}`), "")
		}
		if goes == 3 {
			return nil
		}
		resp := answer(k.status, k.body, "")
		resp.Header.Set("Idempotent-Replayed", "true")
		return resp
	}
	if goes == 4 { // refused before the key is looked at
		f.mu.Unlock()
		return answer([]int{400, 403}[w.dice(2, "refusal", key)], []byte(`{"error":{"type":"invalid_request_error"}}`), "")
	}
	k = &remembered{since: now, executing: true, status: http.StatusOK}
	f.keys[key] = k
	f.mu.Unlock()
	time.Sleep(w.delay("execution", key, n, 25*time.Second))
	f.mu.Lock()
	defer f.mu.Unlock()
	id := fmt.Sprint("eff_", len(f.effects)+1)
	k.body, k.executing = fmt.Appendf(nil, `{"effect":%q}`, id), false
	f.effects = append(f.effects, idemtest.Effect{ID: id, Kind: "charge", Action: "create", Object: id, Key: key, Arrival: a.Seq, At: time.Now(), Generation: 1})
	f.records = append(f.records, idemtest.KeyRecord{Key: key, Generation: 1, Status: k.status, Body: k.body, EffectID: id, Arrival: a.Seq, At: now})
	w.log("far side: %s of arrival %d", id, a.Seq)
	switch goes {
	case 3:
		return nil
	case 5:
		return answer(http.StatusBadGateway, []byte("<html>"), "")
	}
	return answer(k.status, k.body, "")
}

func answer(status int, body []byte, retryAfter string) *http.Response {
	resp := &http.Response{
		Status: fmt.Sprintf("%d %s", status, http.StatusText(status)), StatusCode: status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(newReader(body)), ContentLength: int64(len(body)),
	}
	if retryAfter != "" {
		resp.Header.Set("Retry-After", retryAfter)
	}
	return resp
}

// ledger is what the far side knows.
func (f *far) ledger() idemtest.Ledger {
	f.mu.Lock()
	defer f.mu.Unlock()
	return idemtest.Ledger{
		Arrivals: f.arrivals, Effects: f.effects, Keys: f.records, KeysIgnored: f.ignores, Objects: map[string]json.RawMessage{},
	}
}
