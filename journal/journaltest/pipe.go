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

// pipeCall is one call of a journal in another process, and its answer.
type pipeCall struct {
	Method     string
	Record     *journal.Record
	Guards     journal.Checks
	Change     *journal.Change
	Key, Name  string
	Filter     journal.Filter
	After      string
	Limit      int
	Note       journal.AuditEntry
	Counters   []journal.Counter
	Times      [2]time.Time
	Old, Value []byte
	HasOld     bool
}

type pipeAnswer struct {
	Obstacle journal.Conflict
	Record   *journal.Record
	OK       bool
	Page     []*journal.Record
	Next     string
	Value    []byte
	HasValue bool
	Stats    journal.Stats
	Count    int
	Err      string
	Maybe    bool // the error Is journal.ErrMaybeRecorded
}

// ServeJournal lets another process use a journal of this one: it answers the
// calls of a PipeJournal, one after the other, until in ends, which is no error, or
// Close was called. Calls come in and answers go out on what connects the two, such
// as a child's standard input and output.
func ServeJournal(j journal.Journal, in io.Reader, out io.Writer) error {
	calls, answers := gob.NewDecoder(in), gob.NewEncoder(out)
	for {
		var c pipeCall
		if err := calls.Decode(&c); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("journaltest: a call of the journal: %w", err)
		}
		a, err := c.answer(j)
		if err != nil {
			a.Err, a.Maybe = err.Error(), errors.Is(err, journal.ErrMaybeRecorded)
		}
		if err := answers.Encode(a); err != nil {
			return fmt.Errorf("journaltest: an answer of the journal: %w", err)
		}
		if c.Method == "Close" {
			return nil
		}
	}
}

var errOtherValue = errors.New("the value is another by now")

func (c *pipeCall) answer(j journal.Journal) (a pipeAnswer, err error) {
	ctx := context.Background()
	switch c.Method {
	case "Begin":
		a.Obstacle, a.Record, err = j.Begin(ctx, c.Record, c.Guards)
	case "Change":
		a.Record, a.OK, err = j.Change(ctx, c.Change)
	case "Get":
		a.Record, err = j.Get(ctx, c.Key)
	case "Page":
		a.Page, a.Next, err = j.Page(ctx, c.Filter, c.After, c.Limit)
	case "Log":
		err = j.Audit(ctx, c.Note)
	case "Value":
		a.Value, err = j.Value(ctx, c.Name, nil)
		a.HasValue = a.Value != nil
	case "Swap":
		a.Value, err = j.Value(ctx, c.Name, func(now []byte) ([]byte, error) {
			if !bytes.Equal(now, c.Old) || (now != nil) != c.HasOld {
				return now, errOtherValue
			}
			return c.Value, nil
		})
		a.OK = !errors.Is(err, errOtherValue)
		if !a.OK {
			err = nil
		}
	case "Count":
		err = j.Count(ctx, c.Counters)
	case "Stats":
		a.Stats, err = j.Stats(ctx)
	case "Prune":
		a.Count, err = j.Prune(ctx, c.Times[0], c.Times[1])
	case "Close":
		err = j.Close()
	default:
		err = fmt.Errorf("journaltest: a journal has no method %q", c.Method)
	}
	return a, err
}

// PipeJournal is a journal of another process, where ServeJournal answers. A ctx
// that ends is seen only before a call. Of the other side's errors the text comes
// over, and that one Is journal.ErrMaybeRecorded.
func PipeJournal(in io.Reader, out io.Writer) journal.Journal {
	return &pipeJournal{answers: gob.NewDecoder(in), calls: gob.NewEncoder(out)}
}

type pipeJournal struct {
	mu      sync.Mutex // one call at a time
	calls   *gob.Encoder
	answers *gob.Decoder
	closed  bool
}

func (p *pipeJournal) call(ctx context.Context, c pipeCall) (a pipeAnswer, err error) {
	if err := ctx.Err(); err != nil {
		return a, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return a, errors.New("journaltest: the journal of the other process is closed")
	}
	p.closed = c.Method == "Close"
	if err := p.calls.Encode(c); err != nil {
		return a, fmt.Errorf("journaltest: calling the journal of the other process: %w", err)
	}
	if err := p.answers.Decode(&a); err != nil {
		return a, fmt.Errorf("journaltest: the other process did not answer: %w", err)
	}
	switch {
	case a.Maybe:
		err = fmt.Errorf("%w: %s", journal.ErrMaybeRecorded, a.Err)
	case a.Err != "":
		err = errors.New(a.Err)
	}
	return a, err
}

func (p *pipeJournal) Begin(ctx context.Context, r *journal.Record, g journal.Checks) (journal.Conflict, *journal.Record, error) {
	a, err := p.call(ctx, pipeCall{Method: "Begin", Record: r, Guards: g})
	return a.Obstacle, a.Record, err
}

func (p *pipeJournal) Change(ctx context.Context, c *journal.Change) (*journal.Record, bool, error) {
	a, err := p.call(ctx, pipeCall{Method: "Change", Change: c})
	return a.Record, a.OK, err
}

func (p *pipeJournal) Get(ctx context.Context, key string) (*journal.Record, error) {
	a, err := p.call(ctx, pipeCall{Method: "Get", Key: key})
	return a.Record, err
}

func (p *pipeJournal) Page(ctx context.Context, f journal.Filter, after string, limit int) ([]*journal.Record, string, error) {
	a, err := p.call(ctx, pipeCall{Method: "Page", Filter: f, After: after, Limit: limit})
	return a.Page, a.Next, err
}

func (p *pipeJournal) Audit(ctx context.Context, n journal.AuditEntry) error {
	_, err := p.call(ctx, pipeCall{Method: "Log", Note: n})
	return err
}

// Value cannot send update over: it asks again where the value changed meanwhile.
func (p *pipeJournal) Value(ctx context.Context, name string, update func([]byte) ([]byte, error)) ([]byte, error) {
	for {
		a, err := p.call(ctx, pipeCall{Method: "Value", Name: name})
		if err != nil {
			return nil, err
		}
		old := a.Value
		if a.HasValue && old == nil {
			old = []byte{}
		}
		if update == nil {
			return old, nil
		}
		value, err := update(old)
		if err != nil || bytes.Equal(value, old) {
			return value, err
		}
		a, err = p.call(ctx, pipeCall{Method: "Swap", Name: name, Old: old, HasOld: old != nil, Value: value})
		if err != nil || a.OK {
			return value, err
		}
	}
}

func (p *pipeJournal) Count(ctx context.Context, counts []journal.Counter) error {
	_, err := p.call(ctx, pipeCall{Method: "Count", Counters: counts})
	return err
}

func (p *pipeJournal) Stats(ctx context.Context) (journal.Stats, error) {
	a, err := p.call(ctx, pipeCall{Method: "Stats"})
	return a.Stats, err
}

func (p *pipeJournal) Prune(ctx context.Context, outcomes, identities time.Time) (int, error) {
	a, err := p.call(ctx, pipeCall{Method: "Prune", Times: [2]time.Time{outcomes, identities}})
	return a.Count, err
}

// Close closes the other process's journal. The zero value of closed is open.
func (p *pipeJournal) Close() error {
	p.mu.Lock()
	closed := p.closed
	p.mu.Unlock()
	if closed {
		return nil
	}
	_, err := p.call(context.Background(), pipeCall{Method: "Close"})
	return err
}
