package server

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
)

// ErrReplyTooLarge is what a handler gets from Write when its reply is over
// MaxReply.
var ErrReplyTooLarge = errors.New("idem/server: the reply is over MaxReply and cannot be kept")

// errReplyClosed is for a goroutine that a handler left behind.
var errReplyClosed = errors.New("idem/server: the handler has returned: its reply is closed")

// recorder is the http.ResponseWriter that handlers write to. Nothing is sent
// before the reply is durable, so Flush only says that the head is complete, and a
// connection cannot be hijacked: it is neither an http.Hijacker nor unwrapped.
type recorder struct {
	limit int64
	found http.Header // what stood there before the handler
	now   http.Header // what the handler sees and changes

	mu     sync.Mutex
	status int         // 0: the head is not complete
	head   http.Header // as it was when the head was completed
	body   []byte
	size   int64
	closed bool
}

func newRecorder(found http.Header, limit int64) *recorder {
	return &recorder{limit: limit, found: found.Clone(), now: found.Clone()}
}

// Header is the head that the handler builds, beginning with what was set before.
func (w *recorder) Header() http.Header {
	if w.now == nil {
		w.now = http.Header{}
	}
	return w.now
}

// WriteHeader completes the head. 1xx replies are not passed on.
func (w *recorder) WriteHeader(status int) {
	if status < 100 || status > 999 {
		panic(fmt.Sprintf("idem/server: the handler wrote the status %d: three digits are needed", status))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || w.status != 0 || (status < 200 && status != http.StatusSwitchingProtocols) {
		return
	}
	w.complete(status)
}

func (w *recorder) complete(status int) {
	w.status, w.head = status, w.Header().Clone()
}

// Write adds to the body, up to the limit.
func (w *recorder) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return 0, errReplyClosed
	}
	if w.status == 0 {
		w.complete(http.StatusOK)
	}
	if !hasBody(w.status) {
		return 0, http.ErrBodyNotAllowed
	}
	w.size += int64(len(p))
	if w.size > w.limit {
		w.body = nil
		return 0, ErrReplyTooLarge
	}
	w.body = append(w.body, p...)
	return len(p), nil
}

// WriteString is Write.
func (w *recorder) WriteString(s string) (int, error) { return w.Write([]byte(s)) }

// Flush completes the head, as it would be sent now; nothing leaves yet.
func (w *recorder) Flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.closed && w.status == 0 {
		w.complete(http.StatusOK)
	}
}

// reply closes the recorder and is what the handler answered.
func (w *recorder) reply() *reply {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	if w.status == 0 {
		w.complete(http.StatusOK)
	}
	if w.size > w.limit {
		return refusal(http.StatusInternalServerError, CodeReplyTooLarge, "The reply is too large to keep",
			fmt.Sprintf("The handler ran and answered %d with more than the %d bytes that are kept. It will not run again under this key: look up what it did.",
				w.status, w.limit))
	}
	r := &reply{status: w.status, body: w.body}
	r.header, r.live = changed(w.found, w.head)
	w.addTrailers(r)
	if _, ok := w.head["Content-Type"]; !ok && len(r.body) > 0 && r.header.Get("Content-Encoding") == "" {
		r.header.Set("Content-Type", http.DetectContentType(r.body)) // as net/http would
	}
	return r
}

// addTrailers takes what was declared in the Trailer header, and what is under
// http.TrailerPrefix, as it stands at the end.
func (w *recorder) addTrailers(r *reply) {
	after := http.Header{}
	for name, values := range w.now {
		if bare, ok := strings.CutPrefix(name, http.TrailerPrefix); ok {
			after[bare] = values
		}
	}
	for _, names := range w.head["Trailer"] {
		for name := range strings.SplitSeq(names, ",") {
			name = http.CanonicalHeaderKey(strings.TrimSpace(name))
			delete(r.header, name)
			if values := w.now[name]; len(values) > 0 {
				after[name] = values
			}
		}
	}
	kept, _ := changed(nil, after)
	for name, values := range kept {
		r.header[trailerPrefix+name] = values
	}
}
