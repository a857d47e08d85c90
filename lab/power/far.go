//go:build linux && cgo

package power

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"

	"github.com/idem-go/idem"
)

// fault is what goes wrong with one arrival at the far side.
type fault uint8

const (
	sound      fault = iota
	unsent           // no connection was had
	lostBefore       // the request is lost on the way
	lostAfter        // the reply is lost on the way
	proxy            // the effect happens, and a proxy answers 502
	busy             // 429
	refuse           // 400, for good
	faults           // how many there are
)

var errLost = errors.New("the connection was lost")

// farSide is a server, as the transport of a client in the same process: it keeps
// keys where the operation's contract says so, and an account of what it did.
type farSide struct {
	forgetful bool // it ignores keys
	rekeyed   bool // every attempt comes with a key of its own
	mark      func(event)

	mu      sync.Mutex
	replies map[string]stored // by key
	effects map[string][]event
	total   int
	script  map[string][]fault // by order
	arrived map[string]int     // by order
}

type stored struct {
	status int
	body   string
}

// newFarSide is a far side as events left it. mark is told what happens there from
// now on; nil: nobody is.
func newFarSide(events []event, mark func(event)) *farSide {
	s := &farSide{
		mark: mark, replies: map[string]stored{}, effects: map[string][]event{},
		script: map[string][]fault{}, arrived: map[string]int{},
	}
	if mark == nil {
		s.mark = func(event) {}
	}
	for _, e := range events {
		switch e.kind {
		case effected:
			s.total++
			s.effects[e.order] = append(s.effects[e.order], e)
			s.replies[e.key] = stored{http.StatusOK, e.body}
		case refused:
			s.replies[e.key] = stored{http.StatusBadRequest, e.body}
		}
	}
	return s
}

// RoundTrip is one arrival.
func (s *farSide) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	req.Body.Close()
	if err != nil {
		return nil, err
	}
	op := operation(strings.TrimPrefix(req.URL.Path, "/"))
	id, _, _ := strings.Cut(string(body), " ")
	key := req.Header.Get("Idempotency-Key")

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rekeyed {
		key = fmt.Sprintf("%s-%d", key, s.arrived[id])
	}
	goes := s.next(id)
	if goes == unsent {
		if trace := httptrace.ContextClientTrace(req.Context()); trace != nil && trace.GetConn != nil {
			trace.GetConn(req.URL.Host)
		}
		return nil, errors.New("no connection")
	}
	s.arrived[id]++
	s.mark(event{kind: arrived, order: id, key: key})
	keeps := op == charge && !s.forgetful
	switch goes {
	case lostBefore:
		return nil, errLost
	case busy:
		return answer(req, http.StatusTooManyRequests, "later", "refused-before-execution"), nil
	}
	if old, known := s.replies[key]; known && keeps {
		if goes == lostAfter {
			return nil, errLost
		}
		resp := answer(req, old.status, old.body, "replayed")
		resp.Header.Set("Idempotent-Replayed", "true")
		return resp, nil
	}
	if goes == refuse {
		body := fmt.Sprintf(`{"order":%q,"refused":%d}`, id, s.arrived[id])
		s.replies[key] = stored{http.StatusBadRequest, body}
		s.mark(event{kind: refused, order: id, key: key, body: body})
		return answer(req, http.StatusBadRequest, body, "executed"), nil
	}
	s.total++
	did := event{kind: effected, order: id, key: key, body: fmt.Sprintf(`{"order":%q,"effect":%d}`, id, s.total)}
	s.effects[id] = append(s.effects[id], did)
	s.replies[key] = stored{http.StatusOK, did.body}
	s.mark(did)
	switch goes {
	case lostAfter:
		return nil, errLost
	case proxy:
		return answer(req, http.StatusBadGateway, "bad gateway", ""), nil
	}
	return answer(req, http.StatusOK, did.body, "executed"), nil
}

// next takes the fault of this arrival from the script.
func (s *farSide) next(id string) fault {
	list := s.script[id]
	if len(list) == 0 {
		return sound
	}
	s.script[id] = list[1:]
	return list[0]
}

// did is the effects of an order.
func (s *farSide) did(id string) []event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.effects[id]
}

// arrivals is how many requests of an order got here since this far side began.
func (s *farSide) arrivals(id string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.arrived[id]
}

// tell answers a person, or Policy.Reconcile, who asks what became of an intent.
func (s *farSide) tell(id, key string) idem.Resolution {
	for _, e := range s.did(id) {
		if e.key == key {
			return idem.Resolution{State: idem.Succeeded, Result: []byte(e.body), Note: "the far side has it"}
		}
	}
	return idem.Resolution{State: idem.Failed, Note: "the far side does not have it"}
}

func answer(req *http.Request, status int, body, says string) *http.Response {
	resp := &http.Response{
		Status: fmt.Sprintf("%d %s", status, http.StatusText(status)), StatusCode: status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: req,
		Header: http.Header{"Content-Type": {"application/json"}},
		Body:   io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
	}
	if says != "" {
		resp.Header.Set("Idem-Status", says)
	}
	return resp
}
