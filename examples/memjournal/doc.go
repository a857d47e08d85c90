// Package memjournal is a journal in memory, for tests of agents that use idem. It is
// not durable: when the process ends, every intent is lost, and an agent that starts
// again repeats its effects. Do not run an agent on it; use idem.Open.
//
//	store := memjournal.New()
//	client, err := idem.New(store.Open())
//
// Several clients can share a store: each gets a journal of its own from Store.Open, as
// if it was a process of its own. Journal.Kill ends one as SIGKILL would, and another
// client can recover what it left.
//
// The package is also an example of how to write a store. It imports nothing but the
// standard library and github.com/idem-go/idem/journal. Read it in this order:
//
//   - store.go: what is stored, who owns an intent, what happens to records
//   - begin.go: Begin, which decides whether an intent is new
//   - change.go: Change, which decides whether a change is still allowed
//   - read.go: Get, Page, Stats, and the optional Cached
//   - write.go: the rest: audit entries, values, counters, pruning
//
// A test of the package runs journaltest.Run, which checks all of it.
package memjournal
