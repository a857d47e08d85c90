package idemtest

import (
	"context"
	"fmt"

	"github.com/idem-go/idem"
)

// KnownIntents is what a client's journal says, as CheckAgainst and Crash want it.
// Everything is read: keep it to what tests journal. Where a contract puts the key
// into the body, or a policy's Authorize changes what is sent, what arrives is not
// the payload: empty each Body then.
func KnownIntents(ctx context.Context, c *idem.Client) ([]KnownIntent, error) {
	var known []KnownIntent
	for in, err := range c.Intents(ctx, idem.Filter{}) {
		if err != nil {
			return nil, fmt.Errorf("idemtest: %w", err)
		}
		k := KnownIntent{
			Key: in.Key(), State: stateName(in.State()), Body: in.PayloadHash(),
			Attempts: in.Attempts(), FirstSent: in.FirstSent(),
		}
		if in.State() == idem.Succeeded {
			k.Outcome = in.Outcome()
		}
		known = append(known, k)
	}
	return known, nil
}

func stateName(s idem.State) string {
	switch s {
	case idem.Pending:
		return "pending"
	case idem.Succeeded:
		return "succeeded"
	case idem.Failed:
		return "failed"
	case idem.InDoubt:
		return "indoubt"
	}
	return s.String()
}

// ReadKnown is KnownIntents of a SQLite journal that nobody in this process has
// open.
func ReadKnown(ctx context.Context, path string) (known []KnownIntent, err error) {
	c, err := idem.Open(path)
	if err != nil {
		return nil, err
	}
	known, err = KnownIntents(ctx, c)
	if closing := c.Close(); err == nil {
		err = closing
	}
	return known, err
}
