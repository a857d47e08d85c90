package journaltest

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/idem-go/idem/journal"
)

// pipeRequest is one method call of a Pipe. Each method uses some of the fields.
type pipeRequest struct {
	Method     string
	Record     *journal.Record
	Checks     journal.Checks
	Change     *journal.Change
	Key, Name  string
	Filter     journal.Filter
	After      string
	Limit      int
	Entry      journal.AuditEntry
	Counters   []journal.Counter
	Times      [2]time.Time
	Old, Value []byte
	HasOld     bool
}

// pipeResponse is what Serve answers to a pipeRequest.
type pipeResponse struct {
	Conflict      journal.Conflict
	Record        *journal.Record
	OK            bool
	Page          []*journal.Record
	Next          string
	Value         []byte
	HasValue      bool
	Stats         journal.Stats
	Count         int
	Err           string
	MaybeRecorded bool // Err matches journal.ErrMaybeRecorded
}

// Serve lets another process use j: it answers the calls of a Pipe, one after the
// other, until in ends or Close was called. in and out connect the two processes,
// for example a child's standard input and output. The end of in is not an error.
func Serve(j journal.Journal, in io.Reader, out io.Writer) error {
	requests, responses := gob.NewDecoder(in), gob.NewEncoder(out)
	for {
		var req pipeRequest
		if err := requests.Decode(&req); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("journaltest: reading a call: %w", err)
		}
		resp, err := req.do(j)
		if err != nil {
			resp.Err, resp.MaybeRecorded = err.Error(), errors.Is(err, journal.ErrMaybeRecorded)
		}
		if err := responses.Encode(resp); err != nil {
			return fmt.Errorf("journaltest: writing the answer of %s: %w", req.Method, err)
		}
		if req.Method == "Close" {
			return nil
		}
	}
}

// errValueChanged makes Value store nothing if the value is no longer the one that
// the update function of the other process has seen.
var errValueChanged = errors.New("the value has changed")

// do calls the method of j that the request names.
func (req *pipeRequest) do(j journal.Journal) (resp pipeResponse, err error) {
	ctx := context.Background()
	switch req.Method {
	case "Begin":
		resp.Conflict, resp.Record, err = j.Begin(ctx, req.Record, req.Checks)
	case "Change":
		resp.Conflict, resp.Record, err = j.Change(ctx, req.Change)
	case "Get":
		resp.Record, err = j.Get(ctx, req.Key)
	case "Page":
		resp.Page, resp.Next, err = j.Page(ctx, req.Filter, req.After, req.Limit)
	case "Audit":
		err = j.Audit(ctx, req.Entry)
	case "Value":
		resp.Value, err = j.Value(ctx, req.Name, nil)
		resp.HasValue = resp.Value != nil
	case "CompareAndSwap":
		resp.Value, err = j.Value(ctx, req.Name, func(now []byte) ([]byte, error) {
			if !bytes.Equal(now, req.Old) || (now != nil) != req.HasOld {
				return now, errValueChanged
			}
			return req.Value, nil
		})
		resp.OK = !errors.Is(err, errValueChanged)
		if !resp.OK {
			err = nil
		}
	case "Count":
		err = j.Count(ctx, req.Counters)
	case "Stats":
		resp.Stats, err = j.Stats(ctx)
	case "Prune":
		resp.Count, err = j.Prune(ctx, req.Times[0], req.Times[1])
	case "Close":
		err = j.Close()
	default:
		err = fmt.Errorf("journaltest: a Journal has no method %q", req.Method)
	}
	return resp, err
}

// Pipe returns a Journal that calls the one of another process, where Serve answers
// on in and out. It implements none of the optional interfaces. A ctx that ends is
// noticed only before a call. Errors keep their text, and match
// journal.ErrMaybeRecorded if they did in the other process.
func Pipe(in io.Reader, out io.Writer) journal.Journal {
	return &pipe{responses: gob.NewDecoder(in), requests: gob.NewEncoder(out)}
}

type pipe struct {
	mu        sync.Mutex // one call at a time
	requests  *gob.Encoder
	responses *gob.Decoder
	closed    bool
}

// call sends a request and waits for its response.
func (p *pipe) call(ctx context.Context, req pipeRequest) (resp pipeResponse, err error) {
	if err := ctx.Err(); err != nil {
		return resp, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return resp, errors.New("journaltest: the journal of the other process is closed")
	}
	p.closed = req.Method == "Close"
	if err := p.requests.Encode(req); err != nil {
		return resp, fmt.Errorf("journaltest: calling %s in the other process: %w", req.Method, err)
	}
	if err := p.responses.Decode(&resp); err != nil {
		return resp, fmt.Errorf("journaltest: the other process did not answer %s: %w", req.Method, err)
	}
	switch {
	case resp.MaybeRecorded:
		err = fmt.Errorf("%w: %s", journal.ErrMaybeRecorded, resp.Err)
	case resp.Err != "":
		err = errors.New(resp.Err)
	}
	return resp, err
}

// Begin implements journal.Journal.
func (p *pipe) Begin(ctx context.Context, r *journal.Record, checks journal.Checks) (journal.Conflict, *journal.Record, error) {
	resp, err := p.call(ctx, pipeRequest{Method: "Begin", Record: r, Checks: checks})
	return resp.Conflict, resp.Record, err
}

// Change implements journal.Journal.
func (p *pipe) Change(ctx context.Context, c *journal.Change) (journal.Conflict, *journal.Record, error) {
	resp, err := p.call(ctx, pipeRequest{Method: "Change", Change: c})
	return resp.Conflict, resp.Record, err
}

// Get implements journal.Journal.
func (p *pipe) Get(ctx context.Context, key string) (*journal.Record, error) {
	resp, err := p.call(ctx, pipeRequest{Method: "Get", Key: key})
	return resp.Record, err
}

// Page implements journal.Journal.
func (p *pipe) Page(ctx context.Context, f journal.Filter, after string, limit int) ([]*journal.Record, string, error) {
	resp, err := p.call(ctx, pipeRequest{Method: "Page", Filter: f, After: after, Limit: limit})
	return resp.Page, resp.Next, err
}

// Audit implements journal.Journal.
func (p *pipe) Audit(ctx context.Context, entry journal.AuditEntry) error {
	_, err := p.call(ctx, pipeRequest{Method: "Audit", Entry: entry})
	return err
}

// Value implements journal.Journal. A function cannot be sent to the other process:
// Value calls update here, and again if the value has changed meanwhile.
func (p *pipe) Value(ctx context.Context, name string, update func([]byte) ([]byte, error)) ([]byte, error) {
	for {
		resp, err := p.call(ctx, pipeRequest{Method: "Value", Name: name})
		if err != nil {
			return nil, err
		}
		old := resp.Value
		if resp.HasValue && old == nil {
			old = []byte{}
		}
		if update == nil {
			return old, nil
		}
		value, err := update(old)
		if err != nil || bytes.Equal(value, old) {
			return value, err
		}
		resp, err = p.call(ctx, pipeRequest{Method: "CompareAndSwap", Name: name, Old: old, HasOld: old != nil, Value: value})
		if err != nil || resp.OK {
			return value, err
		}
	}
}

// Count implements journal.Journal.
func (p *pipe) Count(ctx context.Context, counters []journal.Counter) error {
	_, err := p.call(ctx, pipeRequest{Method: "Count", Counters: counters})
	return err
}

// Stats implements journal.Journal.
func (p *pipe) Stats(ctx context.Context) (journal.Stats, error) {
	resp, err := p.call(ctx, pipeRequest{Method: "Stats"})
	return resp.Stats, err
}

// Prune implements journal.Journal.
func (p *pipe) Prune(ctx context.Context, outcomes, identities time.Time) (int, error) {
	resp, err := p.call(ctx, pipeRequest{Method: "Prune", Times: [2]time.Time{outcomes, identities}})
	return resp.Count, err
}

// Close implements journal.Journal. It closes the journal of the other process.
func (p *pipe) Close() error {
	p.mu.Lock()
	closed := p.closed
	p.mu.Unlock()
	if closed {
		return nil
	}
	_, err := p.call(context.Background(), pipeRequest{Method: "Close"})
	return err
}
