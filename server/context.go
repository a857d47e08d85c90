package server

import (
	"context"
	"database/sql"
	"sync/atomic"
)

type contextKey uint8

const executionKey contextKey = 0

// underWay is what a handler's context knows of its execution.
type underWay struct {
	id        Identity
	tx        *sql.Tx
	forgotten atomic.Bool
}

func underWayIn(ctx context.Context) *underWay {
	u, _ := ctx.Value(executionKey).(*underWay)
	return u
}

// FromContext is whose key a handler executes. ok is false outside a handler that
// the middleware runs.
func FromContext(ctx context.Context) (id Identity, ok bool) {
	if u := underWayIn(ctx); u != nil {
		return u.id, true
	}
	return Identity{}, false
}

// Forget says that nothing happened, so that the key is not used up: the handler's
// reply is handed out as a refusal before execution and not kept, and the key is
// free, for another payload too. It is for what a mended or later request may get
// another answer to: validation errors, overload. Call it while the handler runs,
// only if it did nothing that stays. Outside a handler it does nothing.
func Forget(ctx context.Context) {
	if u := underWayIn(ctx); u != nil {
		u.forgotten.Store(true)
	}
}

// Tx is the transaction in which the handler's effect and its reply are committed
// together; nil where the store is not made by SameTransaction. The handler writes
// through it and leaves Commit and Rollback alone.
func Tx(ctx context.Context) *sql.Tx {
	if u := underWayIn(ctx); u != nil {
		return u.tx
	}
	return nil
}
