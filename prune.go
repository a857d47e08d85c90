package idem

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/idem-go/idem/internal/clock"
)

// Prune drops what WithRetention no longer keeps: payloads and outcomes of settled
// intents first, their bare identities much later. Open intents are never pruned.
// It returns how many intents it shortened or dropped. The client prunes every ten
// minutes as well; the file does not shrink, its space is used again.
//
// Ages are measured by the wall clock. If that is more than a day (25 hours) later than
// it was when the journal was last pruned or, before that, last used, it may be wrong,
// and what a wrong clock makes old would be lost. Prune then drops nothing, logs a line
// with level WARN and returns 0, until the clock is set back or this process has run for
// 24 hours, not counting the time for which the machine slept. A journal that was not
// used for long is therefore pruned a day later.
func (c *Client) Prune(ctx context.Context) (int, error) {
	if !c.enter() {
		return 0, isClosed("pruning")
	}
	defer c.work.Done()
	n, err := c.prune(ctx)
	if err != nil {
		return n, fmt.Errorf("idem: pruning: %w", err)
	}
	return n, nil
}

// prune is Prune without the check for Close.
func (c *Client) prune(ctx context.Context) (int, error) {
	now, steady := c.steady.Now()
	if _, err := c.journal.Value(ctx, clock.SteadyName, c.steady.Merge); err != nil {
		return 0, err
	}
	if !steady {
		if c.options.logger != nil {
			c.options.logger.LogAttrs(ctx, slog.LevelWarn,
				"idem: nothing is pruned until this process has run for 24 hours: the wall clock was set forward, or the journal was not used, for more than a day",
				slog.Time("wall_clock", now))
		}
		return 0, nil
	}
	return c.journal.Prune(ctx, now.Add(-c.options.outcomes), now.Add(-c.options.identities))
}

// readSteady starts c.steady with the time of the last pruning. A journal that was never
// pruned is taken for one that was pruned just now, if it is empty or has an intent that
// is not older than clock.LongStep.
func (c *Client) readSteady() error {
	ctx := context.Background()
	stored, err := c.journal.Value(ctx, clock.SteadyName, nil)
	if err != nil {
		return fmt.Errorf("idem: opening the journal: reading when it was pruned: %w", err)
	}
	since, ok := clock.DecodeTime(stored)
	if !ok {
		since = c.options.wall()
		if !c.usedSince(ctx, since.Add(-clock.LongStep)) {
			since = since.Add(-clock.LongStep - time.Second)
		}
	}
	c.steady = clock.NewSteady(c.options.wall, c.options.running, since)
	return nil
}

// usedSince reports whether the journal is empty or has an intent that was created at
// since or later. It is false if the journal cannot be read.
func (c *Client) usedSince(ctx context.Context, since time.Time) bool {
	has := func(f Filter) (found bool, err error) {
		for after := ""; ; {
			page, next, err := c.journal.Page(ctx, f, after, 1)
			if err != nil || len(page) > 0 || next == "" {
				return len(page) > 0, err
			}
			after = next
		}
	}
	recent, err := has(Filter{Since: since})
	if err != nil || recent {
		return recent
	}
	any, err := has(Filter{})
	return !any && err == nil
}

// always is the shortest Contract.Retention that means that doing it twice is harmless
// at any time, as Natural has it. No key has to be remembered for such a contract.
const always = 100 * 365 * 24 * time.Hour

// memory returns how long the identity of a settled intent has to be kept under p, and
// the name of the field that says so. 0: p needs none.
func (p *Policy) memory() (longest time.Duration, field string) {
	if p.Effect == ReadOnly {
		return 0, ""
	}
	if p.Contract.Retention < always {
		longest, field = p.Contract.Retention, "Contract.Retention"
	}
	if p.Window > longest {
		longest, field = p.Window, "Window"
	}
	if (p.Limit.Intents > 0 || p.Limit.Cost > 0) && p.Limit.Per > longest {
		longest, field = p.Limit.Per, "Limit.Per"
	}
	return longest, field
}

// checkMemory refuses the policy of an operation that needs identities for longer than
// they are kept.
func (o *options) checkMemory(operation string, p *Policy) error {
	if longest, field := p.memory(); longest > o.identities {
		return fmt.Errorf("idem: policy of %q: %s is %v, and identities are kept for %v only, after which the guard forgets and a second effect is possible: use WithRetention(outcomes, %v) or longer, or shorten %s",
			operation, field, longest, o.identities, longest, field)
	}
	return nil
}

// checkMemories refuses policies that need identities for longer than they are kept. The
// error is about the policy that needs them longest.
func (o *options) checkMemories() error {
	operation, worst := "", time.Duration(0)
	for name, p := range o.policies.named {
		if longest, _ := p.memory(); longest > worst || (longest == worst && name < operation) {
			operation, worst = name, longest
		}
	}
	if operation == "" {
		return nil
	}
	return o.checkMemory(operation, o.policies.named[operation])
}
