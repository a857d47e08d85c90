package journaltest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/idem-go/idem/journal"
)

// What Journal.Begin must do.

func beginKeeps(s *suite) error {
	j, err := s.journal()
	if err != nil {
		return err
	}
	r, want := suiteRecord("k1", "order-1"), suiteRecord("k1", "order-1")
	if err := begin(j, r); err != nil {
		return err
	}
	if err := sameBeginning(r, want); err != nil {
		return fmt.Errorf("Begin changed what it was given: %w", err)
	}
	clear(r.Payload) // nor does it keep it
	clear(r.Head)
	got, err := get(j, "k1")
	if err != nil {
		return err
	}
	st := got.Summary()
	switch {
	case st.Version != 0 || st.State != journal.Pending || len(got.Changes) != 0:
		return failing("a new intent stands at version %d, %s, with %d changes", st.Version, st.State, len(got.Changes))
	case got.Owner != journal.OwnedBySelf:
		return failing("a new intent's owner is %d, not the opener that began it", got.Owner)
	case !got.PrunedAt.IsZero():
		return failing("a new intent is forgotten at %v", got.PrunedAt)
	}
	if err := sameBeginning(got, want); err != nil {
		return err
	}
	if none, err := j.Get(context.Background(), "k2"); none != nil || err != nil {
		return failing("Get of a key that is not there: a record: %t, error %w; wanted neither", none != nil, orNone(err))
	}
	return nil
}

func beginFinds(s *suite) error {
	j, err := s.journal()
	if err != nil {
		return err
	}
	if err := begin(j, suiteRecord("k1", "order-1")); err != nil {
		return err
	}
	again := suiteRecord("k2", "order-1")
	again.Fingerprint[0]++ // whatever the payload
	if err := meets(j, again, journal.Checks{}, journal.ConflictIdentity, "k1"); err != nil {
		return err
	}
	_, standing, err := j.Begin(context.Background(), again, journal.Checks{})
	if err != nil {
		return err
	}
	if err := sameBeginning(standing, suiteRecord("k1", "order-1")); err != nil {
		return err
	}
	// Each part of the identity makes another one.
	for i, other := range []journal.Operation{
		{Name: "charge", Scope: "run \x00 2", ID: "order-1"},
		{Name: "charges", Scope: "run \x00 1", ID: "order-1"},
		{Name: "charge", Scope: "run \x00 1", ID: "order-2"},
		{Name: "charge", Scope: "run \x00 1", ID: "order-1", Repeat: 1},
		{Name: "charge", Scope: "run \x00 1o", ID: "rder-1"},
		{Name: "charge", Scope: "run ", ID: "1order-1"},
		{Name: "charge", ID: "order-1"},
	} {
		r := suiteRecord(fmt.Sprint("other", i), "")
		r.Operation = other
		if err := begin(j, r); err != nil {
			return fmt.Errorf("another identity (%v): %w", other, err)
		}
	}
	// No ID is no identity.
	for _, key := range []string{"f1", "f2"} {
		if err := begin(j, suiteRecord(key, "")); err != nil {
			return fmt.Errorf("without an ID every Begin is a fresh intent: %w", err)
		}
	}
	return nil
}

func beginLinks(s *suite) error {
	j, err := s.journal()
	if err != nil {
		return err
	}
	if err := begin(j, suiteRecord("k1", "order-1")); err != nil {
		return err
	}
	if err := changes(j, suiteChange("k1", 1, journal.Settled, journal.Failed)); err != nil {
		return err
	}
	second := suiteRecord("k2", "order-1")
	second.Previous = "k1"
	if err := begin(j, second); err != nil {
		return err
	}
	if got, err := get(j, "k2"); err != nil || got.Previous != "k1" {
		return failing("the second link is linked to %q, error %w", got.Previous, orNone(err))
	}
	for _, seen := range []string{"", "k1", "k0"} { // none, a stale one, one that never was
		third := suiteRecord("k3", "order-1")
		third.Previous = seen
		if err := meets(j, third, journal.Checks{}, journal.ConflictIdentity, "k2"); err != nil {
			return fmt.Errorf("naming the link %q: %w", seen, err)
		}
	}
	return nil
}

func beginKeyTwice(s *suite) error {
	j, err := s.journal()
	if err != nil {
		return err
	}
	if err := begin(j, suiteRecord("k1", "order-1")); err != nil {
		return err
	}
	obstacle, _, err := j.Begin(context.Background(), suiteRecord("k1", "order-2"), journal.Checks{})
	if err == nil {
		return failing("a second intent under the key k1: obstacle %d and no error; one key belongs to one intent", obstacle)
	}
	got, err := get(j, "k1")
	if err == nil && got.Operation.ID != "order-1" {
		err = failing("the key k1 went over to %q", got.Operation.ID)
	}
	return err
}

func beginEnded(s *suite) error {
	j, err := s.journal()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := j.Begin(ctx, suiteRecord("k1", "order-1"), journal.Checks{}); err == nil {
		return failing("Begin under a ctx that had ended has no error")
	}
	return begin(j, suiteRecord("k1", "order-1"))
}

// manyBegin begins one identity from many goroutines at once: one wins, and the
// others are told who.
func manyBegin(s *suite) error {
	j, err := s.journal()
	if err != nil {
		return err
	}
	const callers, identities = 16, 8
	var mu sync.Mutex
	won, found, errs := map[string]string{}, map[string]map[string]bool{}, []error{}
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			for i := range identities {
				id, key := fmt.Sprint("order-", i), fmt.Sprint("k", i, "-", caller)
				obstacle, standing, err := j.Begin(context.Background(), suiteRecord(key, id), journal.Checks{})
				mu.Lock()
				switch {
				case err != nil:
					errs = append(errs, err)
				case obstacle == journal.NoConflict && won[id] == "":
					won[id] = key
				case obstacle == journal.NoConflict:
					errs = append(errs, failing("%s and %s both began %s", won[id], key, id))
				case obstacle != journal.ConflictIdentity || standing == nil:
					errs = append(errs, failing("obstacle %d", obstacle))
				default:
					if found[id] == nil {
						found[id] = map[string]bool{}
					}
					found[id][standing.Key] = true
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(errs) > 0 {
		return errs[0]
	}
	for id, keys := range found {
		if len(keys) != 1 || !keys[won[id]] {
			return failing("%s was begun as %s, and the others found %v", id, won[id], keys)
		}
	}
	return nil
}

func guardReemission(s *suite) error {
	j, err := s.journal()
	if err != nil {
		return err
	}
	if err := begin(j, suiteRecord("k0", "unguarded")); err != nil {
		return err
	}
	guarded := func(key, id string) *journal.Record {
		r := suiteRecord(key, id)
		r.Fingerprint = [32]byte{1} // the same thing under every ID
		return r
	}
	since := journal.Checks{DuplicatesSince: suiteTime(-10)}
	if err := meets(j, guarded("k1", "a"), since, journal.NoConflict, ""); err != nil {
		return err
	}
	for _, id := range []string{"b", ""} {
		if err := meets(j, guarded("k2", id), since, journal.ConflictDuplicate, "k1"); err != nil {
			return err
		}
	}
	// Its own identity comes first, and nothing of this touches others.
	if err := meets(j, guarded("k2", "a"), since, journal.ConflictIdentity, "k1"); err != nil {
		return err
	}
	later := journal.Checks{DuplicatesSince: suiteTime(0).Add(1)}
	if err := meets(j, guarded("k3", "c"), later, journal.NoConflict, ""); err != nil {
		return fmt.Errorf("what was begun before the window: %w", err)
	}
	for i, change := range []func(r *journal.Record){
		func(r *journal.Record) { r.Fingerprint[0] = 2 },
		func(r *journal.Record) { r.Operation.Scope = "another" },
		func(r *journal.Record) { r.Operation.Name = "refund" },
	} {
		r := guarded(fmt.Sprint("o", i), fmt.Sprint("other", i))
		change(r)
		if err := meets(j, r, since, journal.NoConflict, ""); err != nil {
			return fmt.Errorf("another scope, name or payload: %w", err)
		}
	}
	// What failed is no first outcome.
	failed := guarded("k5", "x")
	failed.Operation.Scope = "failing"
	if err := meets(j, failed, since, journal.NoConflict, ""); err != nil {
		return err
	}
	if err := changes(j, suiteChange("k5", 1, journal.Settled, journal.Failed)); err != nil {
		return err
	}
	again := guarded("k6", "y")
	again.Operation.Scope = "failing"
	return meets(j, again, since, journal.NoConflict, "")
}

func guardAliases(s *suite) error {
	j, err := s.journal()
	if err != nil {
		return err
	}
	guarded := func(key, id string) *journal.Record {
		r := suiteRecord(key, id)
		r.Fingerprint = [32]byte{1}
		return r
	}
	since := journal.Checks{DuplicatesSince: suiteTime(-10)}
	alias := since
	alias.Alias = true
	if err := meets(j, guarded("k1", "a"), alias, journal.NoConflict, ""); err != nil {
		return err
	}
	if err := meets(j, guarded("k2", "b"), alias, journal.ConflictDuplicate, "k1"); err != nil {
		return err
	}
	if err := meets(j, guarded("k2", "c"), since, journal.ConflictDuplicate, "k1"); err != nil {
		return err
	}
	if err := s.shut(j); err != nil {
		return err
	}
	if j, err = s.journal(); err != nil {
		return err
	}
	// From now on without a guard, whatever it carries, and after the window.
	other := guarded("k2", "b")
	other.Fingerprint[0] = 9
	if err := meets(j, other, journal.Checks{}, journal.ConflictDuplicate, "k1"); err != nil {
		return fmt.Errorf("an alias is durable: %w", err)
	}
	return meets(j, guarded("k3", "c"), journal.Checks{}, journal.NoConflict, "") // it was to be none
}

func guardLimits(s *suite) error {
	j, err := s.journal()
	if err != nil {
		return err
	}
	two := journal.Checks{Limit: journal.Limit{Intents: 2, Per: time.Hour}, LimitSince: suiteTime(-60)}
	for _, id := range []string{"a", "b"} {
		if err := meets(j, suiteRecord("k"+id, id), two, journal.NoConflict, ""); err != nil {
			return err
		}
	}
	if err := meets(j, suiteRecord("kc", "c"), two, journal.ConflictLimit, ""); err != nil {
		return err
	}
	if err := meets(j, suiteRecord("kx", "a"), two, journal.ConflictIdentity, "ka"); err != nil {
		return fmt.Errorf("what is there already takes no budget: %w", err)
	}
	elsewhere := suiteRecord("ke", "e")
	elsewhere.Operation.Scope = "another"
	if err := meets(j, elsewhere, two, journal.NoConflict, ""); err != nil {
		return fmt.Errorf("a budget is of one scope: %w", err)
	}
	// What failed does not count; tried again it would.
	if err := changes(j, suiteChange("kb", 1, journal.Settled, journal.Failed)); err != nil {
		return err
	}
	if err := meets(j, suiteRecord("kc", "c"), two, journal.NoConflict, ""); err != nil {
		return fmt.Errorf("what failed does not count: %w", err)
	}
	if err := meets(j, suiteRecord("ky", "b"), two, journal.ConflictLimit, ""); err != nil {
		return fmt.Errorf("tried again it would count: %w", err)
	}
	later := two
	later.LimitSince = suiteTime(1)
	if err := meets(j, suiteRecord("kd", "d"), later, journal.NoConflict, ""); err != nil {
		return fmt.Errorf("what was begun before the time that counts: %w", err)
	}
	cost := journal.Checks{Limit: journal.Limit{Cost: 20, Per: time.Hour}, LimitSince: suiteTime(-60)}
	for i, want := range []journal.Conflict{journal.NoConflict, journal.NoConflict, journal.ConflictLimit} { // 7 each
		r := suiteRecord(fmt.Sprint("cost", i), fmt.Sprint("cost", i))
		r.Operation.Scope = "costly"
		if err := meets(j, r, cost, want, ""); err != nil {
			return err
		}
	}
	return nil
}
