package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

const (
	payloadSize = 512  // what is recorded before the effect, in bytes
	outcomeSize = 1024 // what is recorded after it, in bytes
)

// A subject does the same work in its own way. A pair is one intent: a durable record of payloadSize bytes before,
// a durable outcome of outcomeSize bytes after. Each adapter says in a comment what it counts as one pair.
type subject interface {
	// Open prepares the subject in an empty folder for that many callers at once.
	Open(dir string, callers int) error
	// Pair does pair number i and returns when its outcome is as durable as the subject makes it.
	Pair(ctx context.Context, i int) error
	Close() error
}

// A witness can say how durable it really is, read back from its open database and not from its settings.
type witness interface{ Durability() string }

// A weighted subject does several pairs in one call of Pair, and counts them itself as they end.
type weighted interface {
	Weight() int // pairs in one call
	Done() int64 // pairs ended so far
}

// group says in which tables a subject stands.
type group string

const (
	groupFloor  group = "floor"
	groupPeer   group = "peer"
	groupIdem   group = "idem"
	groupReplay group = "replay"
	groupHTTP   group = "http"
)

// An entry is one configuration of a subject.
type entry struct {
	name    string // unique, for -only and for the child process
	label   string // the table's first column
	group   group
	shipped bool // as its own README sets it up, instead of with FULL
	make    func(s spec) subject
}

// subjects lists every configuration in the order of the tables.
func subjects() []entry {
	return slices.Concat(
		floorEntries(), idemEntries(), sqlEntries(), dbosEntries(), goworkflowsEntries(),
		durabletaskEntries(), goqiteEntries(), backliteEntries(), httpEntries(),
	)
}

func subjectByName(name string) (entry, error) {
	for _, e := range subjects() {
		if e.name == name {
			return e, nil
		}
	}
	return entry{}, fmt.Errorf("no configuration is called %q", name)
}

// payload is what pair i records before its effect: ASCII, so that no subject pays for escaping it.
func payload(i int) string { return fill(i, payloadSize) }

// outcome is what pair i records after it.
func outcome(i int) string { return fill(i, outcomeSize) }

func fill(i, size int) string {
	head := fmt.Sprintf("%020d ", i)
	return head + strings.Repeat("x", size-len(head))
}
