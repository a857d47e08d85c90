package journal

// KeyMaker is implemented by a Journal that prefers to choose the keys of new
// intents, for example to find them without an index. Contract.NewKey takes
// precedence. Without it keys are random UUIDs (version 4).
type KeyMaker interface {
	// NewKey returns a new key for an intent of op: another one each time. An error
	// fails Begin before anything is recorded or sent.
	NewKey(op Operation) (string, error)
}

// Cacher is implemented by a Journal that holds settled intents in memory. The
// client asks it before each Begin, and answers from what it returns without
// calling Journal.Begin. Without it every Begin goes to the journal.
type Cacher interface {
	// Cached returns the newest intent of op's identity where it has succeeded and
	// the journal holds it in memory, and nil where Begin has to be called. The record
	// is shared by all callers and must not be modified.
	Cached(op Operation) *Record
}
