package journaltest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/idem-go/idem/journal"
)

// OpenJournal opens the store of this name, and makes it if it is absent. Names
// are short words; one name is one store for the whole suite.
type OpenJournal func(store string) (journal.Journal, error)

// OtherJournal opens a store once more while it is open, as another opener: for a
// store that a process opens once, in a process of its own (see ServeJournal and
// PipeJournal). kill ends that opener as SIGKILL would: nothing is given up,
// nothing is written, and the journal is not used again.
type OtherJournal func(store string) (j journal.Journal, kill func() error, err error)

// JournalSuite is the conformance suite: what any journal.Journal must do for the
// client to keep its promises. Every check works on a store of its own. What fails
// is told by t.Fatalf, all of it at once.
func JournalSuite(t testing.TB, open OpenJournal, other OtherJournal) {
	t.Helper()
	if open == nil || other == nil {
		t.Fatalf("journaltest: JournalSuite needs a way to open a store, and a way to open it once more: without the second, ownership is not tested")
		return
	}
	var failed []string
	checks := journalChecks()
	for _, check := range checks {
		s := &suite{open: open, other: other, store: strings.ReplaceAll(check.name, " ", "-")}
		err := check.run(s)
		if err = errors.Join(err, s.close()); err != nil {
			failed = append(failed, check.name+": "+err.Error())
		}
	}
	t.Logf("%d checks of the journal, %d failed", len(checks), len(failed))
	if len(failed) > 0 {
		t.Fatalf("the journal does not do what journal.Journal asks for:\n%s", strings.Join(failed, "\n"))
	}
}

// journalCheck is one thing that a journal must do.
type journalCheck struct {
	name string
	run  func(s *suite) error
}

func journalChecks() []journalCheck {
	return []journalCheck{
		{"begin keeps a record whole", beginKeeps},
		{"begin finds the newest link", beginFinds},
		{"begin links to the link it names", beginLinks},
		{"begin refuses a key twice", beginKeyTwice},
		{"begin under a ctx that ended", beginEnded},
		{"many begin one identity", manyBegin},
		{"re-emission guard", guardReemission},
		{"aliases", guardAliases},
		{"limits", guardLimits},
		{"change is fenced", changeFenced},
		{"many change one version", manyChange},
		{"late success", lateSuccess},
		{"generations", changeGenerations},
		{"outcomes byte for byte", outcomesKept},
		{"pages", pages},
		{"values", values},
		{"audit rows", auditRows},
		{"counts", counts},
		{"pruning", pruning},
		{"closing and opening again", reopening},
		{"ownership among openers", ownership},
		{"a dead owner", deadOwner},
		{"a robbed owner", robbedOwner},
		{"openers that race", racingOpeners},
	}
}

// suite is what one check works with: a store, and who opened it.
type suite struct {
	open   OpenJournal
	other  OtherJournal
	store  string
	opened []journal.Journal
}

// journal opens the check's store.
func (s *suite) journal() (journal.Journal, error) {
	j, err := s.open(s.store)
	if err == nil {
		s.opened = append(s.opened, j)
	}
	return j, err
}

// second opens it once more.
func (s *suite) second() (journal.Journal, func() error, error) {
	j, kill, err := s.other(s.store)
	if err != nil {
		return nil, nil, err
	}
	s.opened = append(s.opened, j)
	return j, func() error { s.gone(j); return kill() }, nil
}

// gone takes a journal out that is closed or killed.
func (s *suite) gone(j journal.Journal) {
	for i, o := range s.opened {
		if o == j {
			s.opened = append(s.opened[:i:i], s.opened[i+1:]...)
			return
		}
	}
}

func (s *suite) shut(j journal.Journal) error {
	s.gone(j)
	return j.Close()
}

func (s *suite) close() error {
	var errs []error
	for _, j := range s.opened {
		errs = append(errs, j.Close())
	}
	return errors.Join(errs...)
}

func failing(format string, args ...any) error { return fmt.Errorf(format, args...) }

// suiteTime is when things happen: a journal is told the time, and has none.
func suiteTime(minutes int) time.Time {
	return time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC).Add(time.Duration(minutes) * time.Minute)
}

// suiteRecord is a new intent of an ID, with every field set.
func suiteRecord(key, id string) *journal.Record {
	payload := []byte("amount=500\x00\xff&id=" + id)
	return &journal.Record{
		Key:       key,
		Operation: journal.Operation{Name: "charge", Scope: "run \x00 1", ID: id, Cost: 7},
		// Every fingerprint of the same payload is the same.
		Fingerprint: sha256.Sum256(payload), FingerprintVersion: 3,
		Head: []byte("POST /v1/charges\x00"), Payload: payload,
		Terms: journal.Terms{
			Contract: "stripe", Retention: 24 * time.Hour, KeyPlace: "header Idempotency-Key",
			Quoted: true, FirstSent: "X-First", Version: "v2", Account: "acct_1",
		},
		CreatedAt: suiteTime(0),
	}
}

// begin begins r, which must succeed.
func begin(j journal.Journal, r *journal.Record) error {
	obstacle, standing, err := j.Begin(context.Background(), r, journal.Checks{})
	switch {
	case err != nil:
		return failing("Begin of %s: %w", r.Key, err)
	case obstacle != journal.NoConflict || standing != nil:
		return failing("Begin of %s: obstacle %d, with a record: %t; it must be inserted", r.Key, obstacle, standing != nil)
	}
	return nil
}

// meets begins r, which must meet an obstacle; key is whose, empty: nobody's.
func meets(j journal.Journal, r *journal.Record, g journal.Checks, want journal.Conflict, key string) error {
	obstacle, standing, err := j.Begin(context.Background(), r, g)
	got := ""
	if standing != nil {
		got = standing.Key
	}
	if err != nil || obstacle != want || got != key {
		return failing("Begin of %s %q: obstacle %d with the intent %q, error %w; wanted obstacle %d with %q",
			r.Key, r.Operation.ID, obstacle, got, orNone(err), want, key)
	}
	return nil
}

var errNone = errors.New("none")

func orNone(err error) error {
	if err == nil {
		return errNone
	}
	return err
}

// change is a row of an intent's history.
func suiteChange(key string, version int, kind journal.ChangeKind, state journal.State) *journal.Change {
	c := &journal.Change{
		Key: key, Kind: kind, At: suiteTime(version), Reason: "http 200", Note: "said so",
		Summary: journal.Summary{
			Version: version, State: state, Attempts: version, MayHaveExecuted: state == journal.InDoubt,
			FirstSent: suiteTime(1), WindowStart: suiteTime(0), Takeovers: 1,
		},
		NewAttempts: []journal.Attempt{{Number: version, At: suiteTime(version), Took: time.Second, Status: 200, Reason: "http 200", Err: "a \"quoted\"\nline"}},
	}
	switch state {
	case journal.Failed:
		c.Failure = journal.FailedTransient
	case journal.Succeeded:
		c.Reply = suiteReply(key)
	}
	return c
}

func suiteReply(key string) *journal.Reply {
	body := []byte(`{"key":"` + key + "\",\"n\":\"\x00\"}")
	return &journal.Reply{
		Status: 200, Proto: "HTTP/1.1", Header: http.Header{"Content-Type": {"application/json"}, "X-Two": {"a", "b"}},
		Body: body, Size: int64(len(body)),
	}
}

// changes appends c, which must succeed.
func changes(j journal.Journal, c *journal.Change) error {
	standing, ok, err := j.Change(context.Background(), c)
	if err != nil || !ok || standing != nil {
		return failing("Change %d of %s (kind %d, state %s): ok %t, a record: %t, error %w; it must be appended",
			c.Version, c.Key, c.Kind, c.State, ok, standing != nil, orNone(err))
	}
	return nil
}

// loses appends c, which must lose against the version that stands.
func loses(j journal.Journal, c *journal.Change, stands int) error {
	standing, ok, err := j.Change(context.Background(), c)
	switch {
	case err != nil:
		return failing("Change %d of %s: %w", c.Version, c.Key, err)
	case ok:
		return failing("Change %d of %s (kind %d, state %s) was appended; it must lose", c.Version, c.Key, c.Kind, c.State)
	case standing == nil || standing.Key != c.Key || standing.Summary().Version != stands:
		return failing("Change %d of %s lost, as it must, but not with the intent as it stands, version %d", c.Version, c.Key, stands)
	}
	return nil
}

// get reads an intent that must be there.
func get(j journal.Journal, key string) (*journal.Record, error) {
	r, err := j.Get(context.Background(), key)
	if err != nil || r == nil {
		return nil, failing("Get of %s: a record: %t, error %w", key, r != nil, orNone(err))
	}
	return r, nil
}

// owned reads an intent whose owner must be this.
func owned(j journal.Journal, key string, want journal.Ownership) error {
	r, err := get(j, key)
	if err == nil && r.Owner != want {
		err = failing("the owner of %s is %d, wanted %d (0 nobody, 1 this opener, 2 another that lives, 3 a dead one)", key, r.Owner, want)
	}
	return err
}

// sameBeginning compares what never changes.
func sameBeginning(got, want *journal.Record) error {
	for _, field := range []struct {
		name      string
		got, want any
	}{
		{"Key", got.Key, want.Key}, {"Operation", got.Operation, want.Operation}, {"Previous", got.Previous, want.Previous},
		{"Fingerprint", got.Fingerprint, want.Fingerprint}, {"Rules", got.FingerprintVersion, want.FingerprintVersion},
		{"Head", string(got.Head), string(want.Head)}, {"Payload", string(got.Payload), string(want.Payload)},
		{"Terms", got.Terms, want.Terms}, {"Begun", got.CreatedAt.UnixNano(), want.CreatedAt.UnixNano()},
	} {
		if !reflect.DeepEqual(field.got, field.want) {
			return failing("%s of %s came back as %v, it was %v", field.name, want.Key, field.got, field.want)
		}
	}
	return nil
}

// sameReply compares outcomes, byte for byte.
func sameReply(got, want *journal.Reply) error {
	switch {
	case got == nil:
		return failing("the outcome is gone")
	case got.Status != want.Status || got.Proto != want.Proto || got.Size != want.Size || got.Hash != want.Hash:
		return failing("the outcome is %d %s of %d bytes (hash %x), it was %d %s of %d bytes (hash %x)",
			got.Status, got.Proto, got.Size, got.Hash, want.Status, want.Proto, want.Size, want.Hash)
	case !bytes.Equal(got.Body, want.Body):
		return failing("the outcome's body is %q, it was %q", got.Body, want.Body)
	case !reflect.DeepEqual(got.Header, want.Header):
		return failing("the outcome's header is %v, it was %v", got.Header, want.Header)
	}
	return nil
}
