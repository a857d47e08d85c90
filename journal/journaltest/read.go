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

// pages checks that Page returns what each filter selects, oldest first, with pages of
// several sizes.
func pages(_ *session, j journal.Journal) error {
	const intents = 30
	var keys []string
	for i := range intents {
		r := newRecord(fmt.Sprint("k", i), fmt.Sprint("order-", i))
		r.CreatedAt = minute(i)
		if i%3 == 0 {
			r.Operation.Scope = "thirds"
		}
		if i%5 == 0 {
			r.Operation.Name = "refund"
		}
		if err := expectInsert(j, r); err != nil {
			return err
		}
		keys = append(keys, r.Key)
		states := []journal.State{journal.Pending, journal.InDoubt, journal.Succeeded, journal.Failed}
		kinds := []journal.ChangeKind{0, journal.MarkedInDoubt, journal.Settled, journal.Settled}
		if kind := kinds[i%4]; kind != 0 {
			if err := expectAppend(j, newChange(r.Key, 1, kind, states[i%4])); err != nil {
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
		{"since", journal.Filter{Since: minute(20)}, only(func(i int) bool { return i >= 20 })},
		{"all of it", journal.Filter{States: []journal.State{journal.Failed}, Scope: "thirds", Since: minute(4)}, only(func(i int) bool { return i >= 4 && i%4 == 3 && i%3 == 0 })},
		{"nothing", journal.Filter{Operation: "never"}, nil},
	} {
		for _, limit := range []int{1, 4, 100} {
			got, err := allPages(j, c.filter, limit, intents)
			if err != nil {
				return fmt.Errorf("%s, %d a page: %w", c.name, limit, err)
			}
			if !slices.Equal(got, c.want) {
				return fmt.Errorf("%s, %d a page: %v; want %v", c.name, limit, got, c.want)
			}
		}
	}
	return nil
}

// allPages returns the keys of all pages. Without an end it fails after most+1 pages.
func allPages(j journal.Journal, f journal.Filter, limit, most int) (keys []string, err error) {
	for after, n := "", 0; ; n++ {
		page, next, err := j.Page(context.Background(), f, after, limit)
		switch {
		case err != nil:
			return nil, err
		case len(page) > limit:
			return nil, fmt.Errorf("a page of %d intents, the limit is %d", len(page), limit)
		case n > most+1:
			return nil, fmt.Errorf("%d pages and no end", n)
		}
		for _, r := range page {
			if r.Operation.Name == "" || len(r.Payload) == 0 {
				return nil, fmt.Errorf("Page returns %s without its operation or payload", r.Key)
			}
			keys = append(keys, r.Key)
		}
		if after = next; after == "" {
			return keys, nil
		}
	}
}

// values checks that Value reads and replaces a value in one transaction, and keeps it.
func values(s *session, j journal.Journal) error {
	ctx := context.Background()
	if v, err := j.Value(ctx, "n", nil); v != nil || err != nil {
		return fmt.Errorf("a value that was not written is %q, error %v; want nil", v, err)
	}
	const callers, rounds = 8, 10
	errs := make([]error, callers)
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			for range rounds {
				_, err := j.Value(ctx, "n", func(old []byte) ([]byte, error) {
					n, _ := strconv.Atoi(string(old)) // nil: 0
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
	want := strconv.Itoa(callers * rounds)
	failure := errors.New("update failed")
	if _, err := j.Value(ctx, "n", func([]byte) ([]byte, error) { return []byte("7"), failure }); !errors.Is(err, failure) {
		return fmt.Errorf("the error of update is returned as %v", err)
	}
	same, err := j.Value(ctx, "n", func(old []byte) ([]byte, error) { return old, nil })
	if err != nil || string(same) != want {
		return fmt.Errorf("after %s updates that add one the value is %q, error %v", want, same, err)
	}
	if j, err = s.reopen(j); err != nil {
		return err
	}
	if v, err := j.Value(ctx, "n", nil); err != nil || string(v) != want {
		return fmt.Errorf("after reopening the value is %q, error %v; want %s", v, err, want)
	}
	return nil
}

// auditEntries checks that Audit adds entries and changes no state.
func auditEntries(_ *session, j journal.Journal) error {
	if err := expectInsert(j, newRecord("k1", "order-1")); err != nil {
		return err
	}
	entry := journal.AuditEntry{Key: "k1", At: minute(3), Reason: "alert", Text: "look at it \x00\xff"}
	for range 2 {
		if err := j.Audit(context.Background(), entry); err != nil {
			return err
		}
	}
	got, err := expectRecord(j, "k1")
	if err != nil {
		return err
	}
	if len(got.Audit) != 2 || got.Audit[0].Text != entry.Text || got.Audit[0].Reason != entry.Reason || !got.Audit[0].At.Equal(entry.At) {
		return fmt.Errorf("two audit entries are returned as %+v", got.Audit)
	}
	if now := got.Summary(); now.Version != 0 || now.State != journal.Pending || got.Owner != journal.OwnedBySelf {
		return fmt.Errorf("an audit entry changed the intent: version %d, state %s, owner %d", now.Version, now.State, got.Owner)
	}
	return nil
}

// counters checks what Stats counts, at once and after reopening.
func counters(s *session, j journal.Journal) error {
	ctx := context.Background()
	for i, c := range []*journal.Change{
		nil, newChange("k1", 1, journal.MarkedInDoubt, journal.InDoubt), newChange("k2", 1, journal.Settled, journal.Succeeded),
	} {
		r := newRecord(fmt.Sprint("k", i), fmt.Sprint("order-", i))
		r.CreatedAt = minute(10 - i)
		if err := expectInsert(j, r); err != nil {
			return err
		}
		if c != nil {
			if err := expectAppend(j, c); err != nil {
				return err
			}
		}
	}
	for _, n := range []journal.Counter{
		{Operation: "charge", Reason: journal.ReasonReplayed, Count: 2, Cost: 14}, {Operation: "charge", Reason: journal.ReasonReplayed, Count: 1, Cost: 7},
		{Operation: "refund", Reason: journal.ReasonCoalesced, Count: 1, Cost: 1}, {Operation: "charge", Reason: journal.ReasonLimit, Count: 5},
	} {
		if err := j.Count(ctx, []journal.Counter{n}); err != nil {
			return err
		}
	}
	for _, when := range []string{"at once", "after reopening"} {
		got, err := j.Stats(ctx)
		if err != nil {
			return err
		}
		charge := got.Operations["charge"]
		switch {
		case got.Intents != 3 || got.Pending != 1 || got.InDoubt != 1:
			err = fmt.Errorf("%d intents, %d pending, %d in doubt; want 3, 1, 1", got.Intents, got.Pending, got.InDoubt)
		case !got.Oldest.Equal(minute(9)):
			err = fmt.Errorf("the oldest open intent is of %v, want %v", got.Oldest, minute(9))
		case got.DuplicatesPrevented != 4 || got.CostPrevented != 22:
			err = fmt.Errorf("%d duplicates with a cost of %d; want 4 and 22, without what the limit rejected", got.DuplicatesPrevented, got.CostPrevented)
		case got.ByReason[journal.ReasonReplayed] != 3 || got.ByReason[journal.ReasonCoalesced] != 1 || got.ByReason[journal.ReasonLimit] != 5:
			err = fmt.Errorf("ByReason is %v", got.ByReason)
		case charge.Intents != 3 || charge.DuplicatesPrevented != 3 || charge.ByReason[journal.ReasonLimit] != 5 || charge.Pending != 1:
			err = fmt.Errorf("the stats of charge are %+v", charge)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", when, err)
		}
		if j, err = s.reopen(j); err != nil {
			return err
		}
	}
	return nil
}
