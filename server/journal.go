package server

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/journal"
)

// journalKeeper keeps keys as intents of a journal: the record's operation is the
// route, its scope the caller's, its ID the caller's key. A kept reply is its
// outcome; a key that was forgotten is Failed; one that expired is followed by a
// new link. Beginning and outcome are two writes, so what dies between them is
// uncertain.
type journalKeeper struct {
	journal idem.Journal
	clock   *clock

	mu sync.Mutex
	// open is what this process began and did not settle, by the record's key. A
	// change that the journal would not take is kept and tried again.
	open map[string]*journal.Change
}

func newJournalKeeper(j idem.Journal, k *clock) *journalKeeper {
	return &journalKeeper{journal: j, clock: k, open: map[string]*journal.Change{}}
}

// journalRun is one claimed record.
type journalRun struct {
	keeper  *journalKeeper
	key     string
	version int // the newest
	begun   time.Time
	print   print
}

const journalContract = "server"

// begin implements keeper.
func (k *journalKeeper) begin(ctx, _ context.Context, c *call, t claimTerms) (run, *standing, error) {
	r := &journal.Record{
		Operation: c.id.operation(), Fingerprint: c.print.sum, FingerprintVersion: c.print.rules,
		Head: encodeRequest(c.request, c.print.raw), CreatedAt: t.now,
		// The version keeps a client that opens this journal by mistake from sending
		// what was received.
		Terms: journal.Terms{Contract: journalContract, Version: journalContract, Retention: c.retention, KeyPlace: journal.KeyInHeader(KeyHeader)},
	}
	var guards journal.Checks
	if !t.admitted { // a budget that it cannot fit into: only a known key is told
		r.Operation.Cost = 2
		guards = journal.Checks{Limit: idem.Limit{Cost: 1, Per: time.Second}, LimitSince: t.now}
	}
	for {
		r.Key = rand.Text()
		obstacle, rec, err := k.journal.Begin(ctx, r, guards)
		switch {
		case err != nil:
			return nil, nil, err
		case obstacle == journal.ConflictLimit:
			return nil, nil, errTooManyKeys
		case obstacle == journal.NoConflict:
			return k.start(r.Key, 0, r.CreatedAt, c.print), nil, nil
		case rec == nil:
			return nil, nil, errors.New("the journal says that the key is known and does not show it")
		}
		if free(rec, t.now) {
			r.Previous, guards.PreviousVersion = rec.Key, rec.Summary().Version
			continue
		}
		began, known, err := k.meet(ctx, rec, c, t)
		if began != nil || known != nil || err != nil {
			return began, known, err
		}
	}
}

// start notes that a record is executed here.
func (k *journalKeeper) start(key string, version int, begun time.Time, p print) run {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.open[key] = nil
	return &journalRun{keeper: k, key: key, version: version, begun: begun, print: p}
}

// meet finds out what a known key is. All nil: it has changed meanwhile, or it has
// to be looked at again.
func (k *journalKeeper) meet(ctx context.Context, rec *journal.Record, c *call, t claimTerms) (run, *standing, error) {
	s := standingOf(rec)
	if rec.Summary().State != idem.Pending {
		k.mu.Lock()
		delete(k.open, rec.Key) // whatever the journal said of it: it is there
		k.mu.Unlock()
	}
	if rec.Owner == journal.OwnedBySelf && s.position == elsewhere {
		return k.mine(ctx, rec, s, c)
	}
	if s.position != uncertain {
		return nil, s, nil
	}
	st := rec.Summary()
	switch {
	case t.again && s.print.same(c.print):
		// Handlers of this middleware take back what they did not finish.
		st.Version++
		st.State, st.Failure = idem.Pending, journal.NotFailed
		st.Takeovers++
		conflict, _, err := k.journal.Change(ctx, &journal.Change{Key: rec.Key, Kind: journal.Claimed, Summary: st, At: t.now, Reason: "run again"})
		ok := conflict == journal.NoConflict
		if err != nil || !ok {
			return nil, nil, err
		}
		return k.start(rec.Key, st.Version, rec.CreatedAt, c.print), nil, nil
	case st.State == idem.Pending:
		// Its process died. Say so durably, so that it is seen among what is in doubt.
		st.Version++
		st.State, st.MayHaveExecuted, st.FirstSent = idem.InDoubt, true, rec.CreatedAt
		conflict, _, err := k.journal.Change(ctx, &journal.Change{Key: rec.Key, Kind: journal.MarkedInDoubt, Summary: st, At: t.now, Reason: "owner died"})
		ok := conflict == journal.NoConflict
		if err != nil || !ok {
			return nil, nil, err
		}
	}
	return nil, s, nil
}

// mine is a record of this very process that no request executes: what became of
// it could not be written, or its beginning was committed when the journal said
// that it perhaps was not, and then nothing ever ran.
func (k *journalKeeper) mine(ctx context.Context, rec *journal.Record, s *standing, c *call) (run, *standing, error) {
	k.mu.Lock()
	change, ran := k.open[rec.Key]
	k.mu.Unlock()
	switch {
	case !ran && s.print.same(c.print):
		return k.start(rec.Key, rec.Summary().Version, rec.CreatedAt, c.print), nil, nil
	case !ran:
		return nil, s, nil
	case change != nil:
		if err := k.write(ctx, change); err == nil {
			return nil, nil, nil
		}
	}
	s.position = uncertain
	return nil, s, nil
}

// write makes a change durable. What the journal would not take is kept.
func (k *journalKeeper) write(ctx context.Context, change *journal.Change) error {
	conflict, rec, err := k.journal.Change(ctx, change)
	ok := conflict == journal.NoConflict
	if err == nil && !ok && !already(rec, change) {
		err = fmt.Errorf("the journal's record %s changed under the process that executes it", change.Key)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err != nil {
		k.open[change.Key] = change
		return err
	}
	delete(k.open, change.Key)
	return nil
}

// already tells whether a change that lost is there all the same: its commit was
// said to have failed, and had not.
func already(rec *journal.Record, change *journal.Change) bool {
	if rec == nil || len(rec.Changes) == 0 {
		return false
	}
	last := rec.Changes[len(rec.Changes)-1]
	if last.Kind != change.Kind || last.State != change.State || last.Version != change.Version || !last.At.Equal(change.At) {
		return false
	}
	return change.Reply == nil || (last.Reply != nil && last.Reply.Status == change.Reply.Status && bytes.Equal(last.Reply.Body, change.Reply.Body))
}

// under implements run.
func (*journalRun) under(*underWay) {}

func (n *journalRun) change(kind journal.ChangeKind, state idem.State, reason string, now time.Time) *journal.Change {
	return &journal.Change{
		Key: n.key, Kind: kind, At: now, Reason: reason,
		Summary: journal.Summary{
			Version: n.version + 1, State: state, Attempts: 1, MayHaveExecuted: state != idem.Failed, FirstSent: n.begun, WindowStart: n.begun,
		},
	}
}

// settle implements run.
func (n *journalRun) settle(ctx context.Context, r *reply, now time.Time) error {
	change := n.change(journal.Settled, idem.Succeeded, fmt.Sprintf("http %d", r.status), now)
	change.Reply = &journal.Reply{Status: r.status, Proto: "HTTP/1.1", Header: r.header, Body: r.body, Size: int64(len(r.body))}
	return n.keeper.write(ctx, change)
}

// forget implements run. Where it cannot be written it is still true, and known
// here for as long as this process lives.
func (n *journalRun) forget(ctx context.Context, now time.Time) error {
	change := n.change(journal.Settled, idem.Failed, "forgotten", now)
	change.Failure, change.FirstSent = journal.FailedNotSent, time.Time{}
	n.keeper.write(ctx, change)
	return nil
}

// doubt implements run.
func (n *journalRun) doubt(ctx context.Context, why string, now time.Time) *standing {
	n.keeper.write(ctx, n.change(journal.MarkedInDoubt, idem.InDoubt, why, now)) // kept, where it fails
	return &standing{position: uncertain, print: n.print, record: n.key}
}

// free tells whether a known key may be executed as if it were unseen: nothing
// happened under it, or it has expired.
func free(rec *journal.Record, now time.Time) bool {
	switch rec.Summary().State {
	case idem.Failed:
		return true
	case idem.Succeeded:
		ended := rec.Changes[len(rec.Changes)-1].At
		return !now.Before(ended.Add(rec.Terms.Retention))
	}
	return false
}

// standingOf is what a record that is not free says of its key.
func standingOf(rec *journal.Record) *standing {
	_, raw := decodeRequest(rec.Head)
	s := &standing{position: uncertain, record: rec.Key, print: print{sum: rec.Fingerprint, rules: rec.FingerprintVersion, raw: raw}}
	switch st := rec.Summary(); {
	case st.State == idem.Succeeded && rec.PrunedAt.IsZero():
		s.position, s.reply = executed, &reply{status: http.StatusNoContent, header: http.Header{}}
		if kept := rec.Changes[len(rec.Changes)-1].Reply; kept != nil {
			s.reply = &reply{status: kept.Status, header: kept.Header, body: kept.Body}
		}
	case st.State == idem.Pending && (rec.Owner == journal.OwnedByLive || rec.Owner == journal.OwnedBySelf):
		s.position = elsewhere
	}
	return s
}

// look implements keeper.
func (k *journalKeeper) look(ctx context.Context, s *standing) (*standing, error) {
	rec, err := k.journal.Get(ctx, s.record)
	if err != nil || rec == nil || free(rec, k.clock.now()) {
		return nil, err
	}
	return standingOf(rec), nil
}

// encodeRequest is what a record keeps of its request: for people, and to tell the
// same bytes from others when the fingerprint's rules have changed.
func encodeRequest(request string, raw [32]byte) []byte {
	return fmt.Appendf(nil, "%s\n%x\n", request, raw)
}

func decodeRequest(head []byte) (request string, raw [32]byte) {
	first, rest, _ := bytes.Cut(head, []byte("\n"))
	sum, _, _ := bytes.Cut(rest, []byte("\n"))
	if len(sum) == hex.EncodedLen(len(raw)) {
		hex.Decode(raw[:], sum) // what cannot be read is equal to nothing
	}
	return string(first), raw
}

// prune implements keeper. The journal goes on from where it stopped, so it is
// stopped again and again.
func (k *journalKeeper) prune(ctx context.Context, replies, keys time.Time) error {
	for slice := pruneSlice; ; {
		step, cancel := context.WithTimeout(ctx, slice)
		started := time.Now()
		n, err := k.journal.Prune(step, replies, keys)
		cancel()
		if err == nil || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		if n == 0 {
			slice *= 2 // it only looked at what stays: let it come further
		}
		if err := rest(ctx, time.Since(started)); err != nil {
			return err
		}
	}
}

// value implements keeper.
func (k *journalKeeper) value(ctx context.Context, name string, update func([]byte) ([]byte, error)) error {
	_, err := k.journal.Value(ctx, name, update)
	return err
}

// counted implements keeper. A count that is lost loses nothing else.
func (k *journalKeeper) counted(id Identity, reason string) {
	k.journal.Count(context.Background(), []journal.Counter{{Operation: id.Route, Reason: reason, Count: 1}})
}

// close implements keeper.
func (k *journalKeeper) close() error {
	k.mu.Lock()
	var waiting []*journal.Change
	for _, change := range k.open {
		if change != nil {
			waiting = append(waiting, change)
		}
	}
	k.mu.Unlock()
	var errs []error
	for _, change := range waiting {
		ctx, cancel := context.WithTimeout(context.Background(), recordLimit)
		errs = append(errs, k.write(ctx, change))
		cancel()
	}
	return errors.Join(append(errs, k.journal.Close())...)
}
