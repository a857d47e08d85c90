// Package journal defines what a store of intents keeps and what it must do. A store
// implements [Journal] and keeps one [Record] for each intent.
//
// Import this package to write a store, for example one on a database server. A
// program that only uses idem does not need it: the package
// github.com/idem-go/idem opens the SQLite store, and it has aliases of the names
// that programs use (Operation, State, Limit, Filter, Stats, Journal and
// ErrMaybeRecorded).
//
// # Terms
//
// An intent is one logical use of an operation. It owns exactly one key. The scope,
// name, ID and repeat of its [Operation] are its identity. An intent with an empty
// ID has no identity: every Begin with an empty ID creates an intent.
//
// An intent is open while it is [Pending] or [InDoubt], and settled when it is
// [Succeeded] or [Failed]. A failed intent can get a successor: an intent with the
// same identity, another key and, in Record.Previous, the key of its predecessor.
// The newest intent of an identity is the one that Begin compares with.
//
// An opener is one open Journal value. The owner of an intent is the opener that
// may execute it. An opener lives until it is closed or its process dies.
//
// An alias is the ID of a call that was answered with an intent created under
// another ID, because both have the same payload. The alias stays bound to that
// intent.
//
// Journal time is the client's clock: wall time plus an offset that only grows, so
// that it never runs backwards. The client sets every time in a record. A store
// compares these times with each other and never with a clock of its own.
//
// # What a store must do
//
//   - Be durable. A method that writes returns after the write is durable, Count
//     excepted. The client sends nothing before Begin has returned.
//   - Be atomic. Begin compares and inserts in one transaction; so do Change and
//     Value. Of many openers that begin one identity at once, one inserts.
//   - Fence. Change appends only to the version that the caller has read, so that an
//     opener that lost an intent cannot write to it. A proven success is the one
//     exception.
//   - Know owners. A store reports with each record who owns it, and finds out
//     without the client's help that an opener has died.
//   - Keep values exactly. Bytes come back byte for byte, times to the nanosecond
//     (in any location), and a zero time as zero. A text can hold any byte, also NUL
//     and invalid UTF-8: with encryption the client passes ciphertext.
//   - Decide no state. The client computes each [Summary]; a store keeps it.
//   - Keep open intents. Prune never touches them.
//
// # Methods in the order in which an intent meets them
//
//   - Value: the client reads the clock's offset, the time of the last pruning and the
//     encryption's data key when it opens the journal, and saves the offset later when
//     it has grown, and the time when it prunes.
//   - Cached, of [Cacher]: optional; a call that finds its intent here ends here.
//   - NewKey, of [KeyMaker]: optional; the key of a new intent.
//   - Begin: the intent is created, or the intent in its way is returned.
//   - Get: an intent that this call did not create is read again before it is
//     executed, and while another opener executes it.
//   - Change: the intent is claimed, an attempt is announced, the intent is released,
//     marked in doubt, settled or resolved.
//   - Audit: a contradiction, or why Client.Recover skips the intent, is recorded for
//     people.
//   - Count: a prevented duplicate or a held-back call is counted.
//   - Page: Client.Recover and Client.Intents find what is open. A client that opens a
//     journal that was never pruned looks for its newest intents.
//   - Stats: the counts are read.
//   - Prune: first the outcome, later the identity of a settled intent is dropped.
//   - Close: the opener gives up what it owns.
//
// # Testing a store
//
// The package github.com/idem-go/idem/journal/journaltest tests a store. Its
// function Run checks Journal, and each optional interface that the store
// implements. The SQLite store passes it.
package journal
