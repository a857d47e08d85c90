//go:build linux && cgo

package kill

import (
	"context"
	"fmt"
)

// Control is how a negative control came out.
type Control struct {
	Name   string
	Caught bool
	Tally  *Tally
}

// Controls breaks the library, or the far side, in one way at a time, and kills
// processes until that is noticed, or until so many were killed.
func Controls(ctx context.Context, seed uint64, rounds int) (all []Control, err error) {
	for _, c := range []struct {
		name string
		plan Plan
	}{
		{newKeys, Plan{Processes: 1, Break: newKeys}},
		{lateJournal, Plan{Processes: 1, Break: lateJournal}},
		{silentClaim, Plan{Processes: 3, Break: silentClaim}},
		{"a server that ignores keys", Plan{Processes: 1, Deaf: true}},
	} {
		c.plan.Rounds, c.plan.UntilBad = rounds, true
		t, err := c.plan.Run(ctx, seed)
		if err != nil {
			return all, fmt.Errorf("%s: %w", c.name, err)
		}
		all = append(all, Control{c.name, t.Bad > 0, t})
	}
	return all, ctx.Err()
}
