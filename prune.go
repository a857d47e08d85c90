package idem

import (
	"context"
	"fmt"
)

// Prune drops what WithRetention no longer keeps: payloads and outcomes of settled
// intents first, their bare identities much later. Open intents are never pruned.
// It returns how many intents it shortened or dropped. The journal prunes by
// itself as well; the file does not shrink, its space is used again.
func (c *Client) Prune(ctx context.Context) (int, error) {
	if !c.enter() {
		return 0, isClosed("pruning")
	}
	defer c.work.Done()
	now := c.clock.Now()
	n, err := c.journal.Prune(ctx, now.Add(-c.options.outcomes), now.Add(-c.options.identities))
	if err != nil {
		return n, fmt.Errorf("idem: pruning: %w", err)
	}
	return n, nil
}
