package journaltest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"github.com/idem-go/idem/journal"
)

// What a journal must find again, count, and let go.

func pages(s *suite) error {
	j, err := s.journal()
	if err != nil {
		return err
	}
	const intents = 30
	var keys []string
	for i := range intents {
		r := suiteRecord(fmt.Sprint("k", i), fmt.Sprint("order-", i))
		r.CreatedAt = suiteTime(i)
		if i%3 == 0 {
			r.Operation.Scope = "thirds"
		}
		if i%5 == 0 {
			r.Operation.Name = "refund"
		}
		if err := begin(j, r); err != nil {
			return err
		}
		keys = append(keys, r.Key)
		states := []journal.State{journal.Pending, journal.InDoubt, journal.Succeeded, journal.Failed}
		kinds := []journal.ChangeKind{0, journal.MarkedInDoubt, journal.Settled, journal.Settled}
		if kind := kinds[i%4]; kind != 0 {
			if err := changes(j, suiteChange(r.Key, 1, kind, states[i%4])); err != nil {
				return err
			}
		}
	}
	only := func(keep func(i int) bool) (kept []string) {
		for i, key := range keys {
			if keep(i) {
				kept = append(kept, key)
			}
		}
		return kept
	}
	for _, c := range []struct {
		name   string
		filter journal.Filter
		want   []string
	}{
		{"everything", journal.Filter{}, keys},
		{"pending", journal.Filter{States: []journal.State{journal.Pending}}, only(func(i int) bool { return i%4 == 0 })},
		{"open", journal.Filter{States: []journal.State{journal.Pending, journal.InDoubt}}, only(func(i int) bool { return i%4 < 2 })},
		{"failed", journal.Filter{States: []journal.State{journal.Failed}}, only(func(i int) bool { return i%4 == 3 })},
		{"settled", journal.Filter{States: []journal.State{journal.Succeeded, journal.Failed}}, only(func(i int) bool { return i%4 > 1 })},
		{"a scope", journal.Filter{Scope: "thirds"}, only(func(i int) bool { return i%3 == 0 })},
		{"an operation", journal.Filter{Operation: "refund"}, only(func(i int) bool { return i%5 == 0 })},
		{"an ID", journal.Filter{ID: "order-7"}, []string{"k7"}},
		{"an identity", journal.Filter{Scope: "thirds", Operation: "refund", ID: "order-15"}, []string{"k15"}},
		{"since", journal.Filter{Since: suiteTime(20)}, only(func(i int) bool { return i >= 20 })},
		{"all of it", journal.Filter{States: []journal.State{journal.Failed}, Scope: "thirds", Since: suiteTime(4)}, only(func(i int) bool { return i >= 4 && i%4 == 3 && i%3 == 0 })},
		{"nothing", journal.Filter{Operation: "never"}, nil},
	} {
		for _, limit := range []int{1, 4, 100} {
			got, err := allPages(j, c.filter, limit, intents)
			if err != nil {
				return fmt.Errorf("%s, %d a page: %w", c.name, limit, err)
			}
			if !slices.Equal(got, c.want) {
				return failing("%s, %d a page: %v; wanted %v", c.name, limit, got, c.want)
			}
		}
	}
	return nil
}

func allPages(j journal.Journal, f journal.Filter, limit, most int) (keys []string, err error) {
	for after, n := "", 0; ; n++ {
		page, next, err := j.Page(context.Background(), f, after, limit)
		switch {
		case err != nil:
			return nil, err
		case len(page) > limit:
			return nil, failing("a page of %d", len(page))
		case n > most+1:
			return nil, failing("the pages have no end")
		}
		for _, r := range page {
			if r.Operation.Name == "" || len(r.Payload) == 0 {
				return nil, failing("%s without its operation or payload", r.Key)
			}
			keys = append(keys, r.Key)
		}
		if after = next; after == "" {
			return keys, nil
		}
	}
}

func values(s *suite) error {
	j, err := s.journal()
	if err != nil {
		return err
	}
	ctx := context.Background()
	if v, err := j.Value(ctx, "n", nil); v != nil || err != nil {
		return failing("a value that nobody wrote is %q, error %w", v, orNone(err))
	}
	const callers, rounds = 8, 10
	errs := make([]error, callers)
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			for range rounds {
				_, err := j.Value(ctx, "n", func(old []byte) ([]byte, error) {
					n, _ := strconv.Atoi(string(old)) // none yet: 0
					return strconv.AppendInt(nil, int64(n+1), 10), nil
				})
				errs[caller] = errors.Join(errs[caller], err)
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	wanted := strconv.Itoa(callers * rounds)
	refusal := errors.New("no")
	if _, err := j.Value(ctx, "n", func([]byte) ([]byte, error) { return []byte("7"), refusal }); !errors.Is(err, refusal) {
		return failing("the update's own error comes back as %w", orNone(err))
	}
	same, err := j.Value(ctx, "n", func(old []byte) ([]byte, error) { return old, nil })
	if err != nil || string(same) != wanted {
		return failing("after %s updates, each adding one, the value is %q, error %w", wanted, same, orNone(err))
	}
	if err := s.shut(j); err != nil {
		return err
	}
	if j, err = s.journal(); err != nil {
		return err
	}
	if v, err := j.Value(ctx, "n", nil); err != nil || string(v) != wanted {
		return failing("opened again the value is %q, error %w; it was %s", v, orNone(err), wanted)
	}
	return nil
}

func auditRows(s *suite) error {
	j, err := s.journal()
	if err != nil {
		return err
	}
	if err := begin(j, suiteRecord("k1", "order-1")); err != nil {
		return err
	}
	note := journal.AuditEntry{Key: "k1", At: suiteTime(3), Reason: "alarm", Text: "look at it \x00"}
	for range 2 {
		if err := j.Audit(context.Background(), note); err != nil {
			return err
		}
	}
	got, err := get(j, "k1")
	if err != nil {
		return err
	}
	if len(got.Audit) != 2 || got.Audit[0].Text != note.Text || got.Audit[0].Reason != note.Reason || !got.Audit[0].At.Equal(note.At) {
		return failing("two audit rows came back as %+v", got.Audit)
	}
	if st := got.Summary(); st.Version != 0 || st.State != journal.Pending || got.Owner != journal.OwnedBySelf {
		return failing("an audit row changed where it stands: version %d, %s, owner %d", st.Version, st.State, got.Owner)
	}
	return nil
}

func counts(s *suite) error {
	j, err := s.journal()
	if err != nil {
		return err
	}
	ctx := context.Background()
	for i, c := range []*journal.Change{nil, suiteChange("k1", 1, journal.MarkedInDoubt, journal.InDoubt), suiteChange("k2", 1, journal.Settled, journal.Succeeded)} {
		r := suiteRecord(fmt.Sprint("k", i), fmt.Sprint("order-", i))
		r.CreatedAt = suiteTime(10 - i)
		if err := begin(j, r); err != nil {
			return err
		}
		if c != nil {
			if err := changes(j, c); err != nil {
				return err
			}
		}
	}
	for _, n := range []journal.Counter{
		{Operation: "charge", Reason: "replayed", Count: 2, Cost: 14}, {Operation: "charge", Reason: "replayed", Count: 1, Cost: 7},
		{Operation: "refund", Reason: "coalesced", Count: 1, Cost: 1}, {Operation: "charge", Reason: "limit", Count: 5},
	} {
		if err := j.Count(ctx, []journal.Counter{n}); err != nil {
			return err
		}
	}
	for _, when := range []string{"at once", "opened again"} {
		got, err := j.Stats(ctx)
		if err != nil {
			return err
		}
		charge := got.Operations["charge"]
		switch {
		case got.Intents != 3 || got.Pending != 1 || got.InDoubt != 1:
			err = failing("%d intents, %d pending, %d in doubt; wanted 3, 1, 1", got.Intents, got.Pending, got.InDoubt)
		case !got.Oldest.Equal(suiteTime(9)):
			err = failing("the oldest open intent is of %v, it was begun at %v", got.Oldest, suiteTime(9))
		case got.DuplicatesPrevented != 4 || got.CostPrevented != 22:
			err = failing("%d duplicates of a cost of %d; wanted 4 and 22: what was held back is none", got.DuplicatesPrevented, got.CostPrevented)
		case got.ByReason["replayed"] != 3 || got.ByReason["coalesced"] != 1 || got.ByReason["limit"] != 5:
			err = failing("by reason: %v", got.ByReason)
		case charge.Intents != 3 || charge.DuplicatesPrevented != 3 || charge.ByReason["limit"] != 5 || charge.Pending != 1:
			err = failing("of charge: %+v", charge)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", when, err)
		}
		if err := s.shut(j); err != nil {
			return err
		}
		if j, err = s.journal(); err != nil {
			return err
		}
	}
	return nil
}

func pruning(s *suite) error {
	j, err := s.journal()
	if err != nil {
		return err
	}
	ctx := context.Background()
	for i, c := range []*journal.Change{ // settled at version 1: minute 1
		nil, suiteChange("k1", 1, journal.MarkedInDoubt, journal.InDoubt), suiteChange("k2", 1, journal.Settled, journal.Succeeded),
		suiteChange("k3", 1, journal.Settled, journal.Failed), suiteChange("k4", 1, journal.Settled, journal.Succeeded),
	} {
		if err := begin(j, suiteRecord(fmt.Sprint("k", i), fmt.Sprint("order-", i))); err != nil {
			return err
		}
		if c == nil {
			continue
		}
		if i == 4 {
			c.At = suiteTime(60) // too young
		}
		if err := changes(j, c); err != nil {
			return err
		}
	}
	for round, want := range []int{2, 0} {
		n, err := j.Prune(ctx, suiteTime(30), suiteTime(-1000))
		if err != nil || n != want {
			return failing("pruning round %d shortened %d intents, wanted %d, error %w", round+1, n, want, orNone(err))
		}
	}
	for i := range 5 {
		got, err := get(j, fmt.Sprint("k", i))
		if err != nil {
			return err
		}
		pruned := i == 2 || i == 3
		if got.PrunedAt.IsZero() == pruned || (len(got.Payload) == 0) != pruned {
			return failing("k%d: forgotten %v, %d bytes of payload; wanted it pruned: %t", i, got.PrunedAt, len(got.Payload), pruned)
		}
		if st := got.Summary(); pruned && st.State != []journal.State{journal.Succeeded, journal.Failed}[i-2] {
			return failing("k%d was pruned and is %s", i, st.State)
		}
		// The bare identity is kept: never a second effect by accident.
		if err := meets(j, suiteRecord("x", fmt.Sprint("order-", i)), journal.Checks{}, journal.ConflictIdentity, got.Key); err != nil {
			return err
		}
	}
	if _, err := j.Prune(ctx, suiteTime(30), suiteTime(30)); err != nil {
		return err
	}
	left, err := allPages(j, journal.Filter{}, 10, 10)
	if err != nil || !slices.Equal(left, []string{"k0", "k1", "k4"}) {
		return failing("after the identities were pruned %v are left, wanted k0, k1 and k4, error %w", left, orNone(err))
	}
	stats, err := j.Stats(ctx)
	if err == nil && stats.Intents != 5 {
		err = failing("5 intents were begun, after pruning %d are counted", stats.Intents)
	}
	return err
}

func reopening(s *suite) error {
	j, err := s.journal()
	if err != nil {
		return err
	}
	for _, key := range []string{"k1", "k2"} {
		if err := begin(j, suiteRecord(key, key)); err != nil {
			return err
		}
	}
	if err := changes(j, suiteChange("k2", 1, journal.Settled, journal.Succeeded)); err != nil {
		return err
	}
	if err := s.shut(j); err != nil {
		return err
	}
	if err := j.Close(); err != nil {
		return fmt.Errorf("closing again: %w", err)
	}
	if j, err = s.journal(); err != nil {
		return err
	}
	got, err := get(j, "k1")
	if err != nil {
		return err
	}
	if got.Owner == journal.OwnedBySelf || got.Owner == journal.OwnedByLive {
		return failing("closing gives up what is owned; the owner of k1 is %d", got.Owner)
	}
	if err := sameBeginning(got, suiteRecord("k1", "k1")); err != nil {
		return err
	}
	if err := changes(j, suiteChange("k1", 1, journal.Claimed, journal.Pending)); err != nil {
		return err
	}
	if got, err = get(j, "k2"); err != nil {
		return err
	}
	return sameReply(got.Changes[0].Reply, suiteReply("k2"))
}
