package journal

// KeyMaker is an optional interface of a Journal that chooses the keys of new
// intents, for example keys from which it finds an intent without an index. The
// client checks for it once, when it opens the journal. Contract.NewKey takes
// precedence, so Begin accepts other keys too. Without KeyMaker, keys are random UUIDs
// (version 4).
type KeyMaker interface {
	// NewKey returns a new key for an intent of op, a different one in each call, also
	// across openers and after the journal was opened again. A key is 1 to 255 bytes of
	// visible ASCII without double quotes and backslashes. NewKey may be called from
	// many goroutines at once. If it fails, the client's Begin fails before anything is
	// recorded or sent.
	NewKey(op Operation) (string, error)
}

// Cacher is an optional interface of a Journal that holds settled intents in memory.
// The client calls Cached before each Begin, and does not call Journal.Begin if
// Cached returns a record with the fingerprint of the call. Without Cacher, and with
// encryption, every call goes to Journal.Begin.
type Cacher interface {
	// Cached returns the newest intent with the identity of op if it is in memory, has
	// Succeeded and is not pruned. Otherwise it returns nil, and always if op.ID is
	// empty. The record equals what Get returns.
	//
	// After this opener has added a successor or an audit entry, or has pruned, Cached
	// returns no older record. What another opener did may be missed for one second.
	//
	// All callers share the record: neither they nor the journal modify it. Cached may
	// be called from many goroutines at once.
	Cached(op Operation) *Record
}
