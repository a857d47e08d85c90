package journaltest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"reflect"
	"sync"
	"sync/atomic"

	"github.com/idem-go/idem/journal"
)

// What Journal.Change must do.

func changeFenced(s *suite) error {
	j, err := s.journal()
	if err != nil {
		return err
	}
	standing, ok, err := j.Change(context.Background(), suiteChange("nobody", 1, journal.Released, journal.Pending))
	if standing != nil || ok || err != nil {
		return failing("Change of a key that is not there: a record: %t, ok %t, error %w; wanted nil, false, nil", standing != nil, ok, orNone(err))
	}
	if err := begin(j, suiteRecord("k1", "order-1")); err != nil {
		return err
	}
	// Too early a version, too late a one, and the one that stands.
	for _, version := range []int{0, 2, 3} {
		if err := loses(j, suiteChange("k1", version, journal.MarkedInDoubt, journal.InDoubt), 0); err != nil {
			return err
		}
	}
	steps := []struct {
		kind  journal.ChangeKind
		state journal.State
		owner journal.Ownership
	}{
		{journal.Claimed, journal.Pending, journal.OwnedBySelf}, {journal.AttemptStarted, journal.Pending, journal.OwnedBySelf},
		{journal.Released, journal.Pending, journal.Unowned}, {journal.Claimed, journal.Pending, journal.OwnedBySelf},
		{journal.MarkedInDoubt, journal.InDoubt, journal.Unowned}, {journal.Resolved, journal.InDoubt, journal.Unowned},
		{journal.Claimed, journal.Pending, journal.OwnedBySelf}, {journal.Settled, journal.Succeeded, journal.Unowned},
	}
	for i, step := range steps {
		c := suiteChange("k1", i+1, step.kind, step.state)
		if err := changes(j, c); err != nil {
			return err
		}
		if err := owned(j, "k1", step.owner); err != nil {
			return fmt.Errorf("after a change of kind %d: %w", step.kind, err)
		}
		if err := loses(j, suiteChange("k1", i+1, journal.MarkedInDoubt, journal.InDoubt), i+1); err != nil {
			return fmt.Errorf("the version that stands: %w", err)
		}
	}
	got, err := get(j, "k1")
	if err != nil {
		return err
	}
	if len(got.Changes) != len(steps) {
		return failing("%d changes were appended, %d are there", len(steps), len(got.Changes))
	}
	for i, step := range steps {
		if err := sameChange(&got.Changes[i], suiteChange("k1", i+1, step.kind, step.state)); err != nil {
			return fmt.Errorf("change %d: %w", i+1, err)
		}
	}
	// A final outcome is final.
	for _, c := range []*journal.Change{
		suiteChange("k1", 9, journal.Settled, journal.Succeeded), suiteChange("k1", 9, journal.Settled, journal.Failed),
		suiteChange("k1", 9, journal.Resolved, journal.Failed), suiteChange("k1", 9, journal.MarkedInDoubt, journal.InDoubt),
		suiteChange("k1", 9, journal.Released, journal.Pending), suiteChange("k1", 5, journal.Settled, journal.Succeeded),
	} {
		if err := loses(j, c, 8); err != nil {
			return fmt.Errorf("after the outcome: %w", err)
		}
	}
	return nil
}

// sameChange compares a row with what was appended. The reply is compared where
// outcomes are tested.
func sameChange(got, want *journal.Change) error {
	if got.At.UnixNano() != want.At.UnixNano() || got.Kind != want.Kind || got.Reason != want.Reason || got.Note != want.Note {
		return failing("kind %d at %v (%s: %s), it was kind %d at %v (%s: %s)",
			got.Kind, got.At, got.Reason, got.Note, want.Kind, want.At, want.Reason, want.Note)
	}
	g, w := got.Summary, want.Summary
	if !g.FirstSent.Equal(w.FirstSent) || !g.WindowStart.Equal(w.WindowStart) {
		return failing("first sent %v and window %v, they were %v and %v", g.FirstSent, g.WindowStart, w.FirstSent, w.WindowStart)
	}
	g.FirstSent, g.WindowStart = w.FirstSent, w.WindowStart
	if g != w {
		return failing("the standing %+v, it was %+v", g, w)
	}
	if len(got.NewAttempts) != len(want.NewAttempts) {
		return failing("%d attempts, there were %d", len(got.NewAttempts), len(want.NewAttempts))
	}
	for i, try := range got.NewAttempts {
		other := want.NewAttempts[i]
		if !try.At.Equal(other.At) {
			return failing("an attempt at %v, it was at %v", try.At, other.At)
		}
		if try.At = other.At; try != other {
			return failing("the attempt %+v, it was %+v", try, other)
		}
	}
	return nil
}

func manyChange(s *suite) error {
	j, err := s.journal()
	if err != nil {
		return err
	}
	const callers, rounds = 12, 12
	if err := begin(j, suiteRecord("k1", "order-1")); err != nil {
		return err
	}
	for version := 1; version <= rounds; version++ {
		var won atomic.Int32
		errs := make([]error, callers)
		var wg sync.WaitGroup
		for caller := range callers {
			wg.Go(func() {
				c := suiteChange("k1", version, journal.Claimed, journal.Pending)
				c.Note = fmt.Sprint("caller ", caller)
				_, ok, err := j.Change(context.Background(), c)
				errs[caller] = err
				if ok {
					won.Add(1)
				}
			})
		}
		wg.Wait()
		for _, err := range errs {
			if err != nil {
				return err
			}
		}
		if won.Load() != 1 {
			return failing("%d of %d callers appended version %d; one must", won.Load(), callers, version)
		}
	}
	return nil
}

// lateSuccess is a proven success that comes after others went on.
func lateSuccess(s *suite) error {
	j, err := s.journal()
	if err != nil {
		return err
	}
	for i, before := range [][]*journal.Change{
		{suiteChange("", 1, journal.Claimed, journal.Pending)},
		{suiteChange("", 1, journal.MarkedInDoubt, journal.InDoubt)},
		{suiteChange("", 1, journal.Claimed, journal.Pending), suiteChange("", 2, journal.Released, journal.Pending)},
	} {
		key := fmt.Sprint("k", i)
		if err := begin(j, suiteRecord(key, key)); err != nil {
			return err
		}
		for _, c := range before {
			c.Key = key
			if err := changes(j, c); err != nil {
				return err
			}
		}
		for _, c := range []*journal.Change{
			suiteChange(key, 1, journal.Settled, journal.Failed), suiteChange(key, 1, journal.MarkedInDoubt, journal.InDoubt),
			suiteChange(key, 1, journal.Claimed, journal.Pending), suiteChange(key, len(before)+2, journal.Settled, journal.Succeeded),
		} {
			if err := loses(j, c, len(before)); err != nil {
				return fmt.Errorf("only a proven success may come late: %w", err)
			}
		}
		if err := changes(j, suiteChange(key, 1, journal.Settled, journal.Succeeded)); err != nil {
			return fmt.Errorf("a proven success is never lost: %w", err)
		}
		got, err := get(j, key)
		if err != nil {
			return err
		}
		if st := got.Summary(); st.State != journal.Succeeded || st.Version != len(before)+1 || got.Owner != journal.Unowned {
			return failing("after a late success %s stands at version %d, %s, owner %d", key, st.Version, st.State, got.Owner)
		}
		if err := loses(j, suiteChange(key, 1, journal.Settled, journal.Succeeded), len(before)+1); err != nil {
			return fmt.Errorf("the first outcome stays: %w", err)
		}
	}
	return nil
}

// changeGenerations fails and reopens an intent several times, and then succeeds.
func changeGenerations(s *suite) error {
	j, err := s.journal()
	if err != nil {
		return err
	}
	if err := begin(j, suiteRecord("k1", "order-1")); err != nil {
		return err
	}
	version := 0
	for range 3 {
		failed := suiteChange("k1", version+1, journal.Settled, journal.Failed)
		failed.Reply = suiteReply(fmt.Sprint("refusal ", version))
		for _, c := range []*journal.Change{failed, suiteChange("k1", version+2, journal.Claimed, journal.Pending)} {
			if err := changes(j, c); err != nil {
				return err
			}
		}
		if err := owned(j, "k1", journal.OwnedBySelf); err != nil {
			return fmt.Errorf("opened again: %w", err)
		}
		version += 2
		open, _, err := j.Page(context.Background(), journal.Filter{States: []journal.State{journal.Pending}}, "", 10)
		if err != nil || len(open) != 1 {
			return failing("opened again it is open: %d pending intents are found, error %w", len(open), orNone(err))
		}
	}
	if err := changes(j, suiteChange("k1", version+1, journal.Settled, journal.Succeeded)); err != nil {
		return err
	}
	got, err := get(j, "k1")
	if err != nil {
		return err
	}
	if len(got.Changes) != version+1 || got.Summary().State != journal.Succeeded {
		return failing("%d changes, %s, after three failures and a success", len(got.Changes), got.Summary().State)
	}
	for i, c := range got.Changes {
		if c.Version != i+1 {
			return failing("change %d has version %d", i+1, c.Version)
		}
		switch {
		case i == version:
			err = sameReply(c.Reply, suiteReply("k1"))
		case i%2 == 0:
			err = sameReply(c.Reply, suiteReply(fmt.Sprint("refusal ", i)))
		case c.Reply != nil:
			err = failing("a claim with an outcome")
		}
		if err != nil {
			return fmt.Errorf("change %d: %w", i+1, err)
		}
	}
	return nil
}

func outcomesKept(s *suite) error {
	j, err := s.journal()
	if err != nil {
		return err
	}
	replies := []*journal.Reply{
		suiteReply("k0"),
		{Status: 204, Proto: "HTTP/2.0", Header: http.Header{"Date": {"Sun, 01 Mar 2026 12:00:00 GMT"}}},
		{Body: []byte("null"), Size: 4},                                // a tool's
		{Status: 200, Size: 5 << 30, Hash: sha256.Sum256([]byte("a"))}, // over the limit
		{Status: 200, Proto: "HTTP/1.1", Body: make([]byte, 1<<20), Size: 1 << 20},
	}
	for i := range replies[4].Body {
		replies[4].Body[i] = byte(i * i >> 3)
	}
	for i, reply := range replies {
		key := fmt.Sprint("k", i)
		if err := begin(j, suiteRecord(key, key)); err != nil {
			return err
		}
		c := suiteChange(key, 1, journal.Settled, journal.Succeeded)
		c.Reply = reply
		if err := changes(j, c); err != nil {
			return err
		}
	}
	if err := s.shut(j); err != nil {
		return err
	}
	if j, err = s.journal(); err != nil {
		return err
	}
	for i, want := range replies {
		got, err := get(j, fmt.Sprint("k", i))
		if err != nil {
			return err
		}
		kept := *want
		if kept.Header == nil {
			kept.Header = http.Header{}
		}
		reply := got.Changes[0].Reply
		if reply != nil && reply.Header == nil {
			reply.Header = http.Header{}
		}
		if err := sameReply(reply, &kept); err != nil {
			return fmt.Errorf("outcome %d: %w", i, err)
		}
		_, standing, err := j.Begin(context.Background(), suiteRecord("x", fmt.Sprint("k", i)), journal.Checks{})
		if err != nil || standing == nil || !reflect.DeepEqual(standing.Summary(), got.Summary()) {
			return failing("Begin finds another standing than Get, error %w", orNone(err))
		}
	}
	return nil
}
