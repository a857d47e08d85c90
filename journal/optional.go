package journal

// KeyMaker is an optional interface of a Journal that chooses the keys of new
// intents, for example keys from which it finds an intent without an index. The
// client checks for it once, when it opens the journal. Contract.NewKey takes
// precedence. Without KeyMaker, keys are random UUIDs (version 4).
type KeyMaker interface {
	// NewKey returns a new key for an intent of op, a different one in each call. If it
	// fails, the client's Begin fails before anything is recorded or sent.
	NewKey(op Operation) (string, error)
}

// Cacher is an optional interface of a Journal that holds settled intents in memory.
// The client calls Cached before each Begin, and does not call Journal.Begin if
// Cached returns a record with the fingerprint of the call. Without Cacher, and with
// encryption, every call goes to Journal.Begin.
type Cacher interface {
	// Cached returns the newest intent with the identity of op if it is in memory and
	// has Succeeded. Otherwise it returns nil, and always if op.ID is empty. All
	// callers share the record: they must not modify it.
	Cached(op Operation) *Record
}
