//go:build linux && cgo

// Package power cuts the power. It runs an agent on the library while a shim under
// SQLite writes every change of the disk down, makes images of what the disk may
// hold at each of those instants, boots the library on every image, with the far
// side as it was at that instant, and judges what it does.
package power

// eventKind is what happened.
type eventKind uint8

const (
	opened     eventKind = iota + 1 // Open returned
	asked                           // the agent is about to begin the order
	begun                           // Begin returned: the intent is on disk, it says
	arrived                         // a request reached the far side
	effected                        // and had its effect
	refused                         // or was refused, which the far side keeps under the key
	answered                        // Do returned a reply
	doubted                         // Do said that it may have happened
	nothing                         // Do said that this call did nothing
	unrecorded                      // Do returned an answer that the journal may not have
	resolving                       // the agent is about to say what happened
	resolved                        // Resolve returned
)

// event is one thing that the agent or the far side knows for certain. Those of
// the far side happen there; the others are what the library told the agent.
type event struct {
	kind   eventKind
	order  string
	key    string
	status int
	body   string
	ok     bool // resolving, resolved: it happened
}

// operation is how the far side of an order can be asked.
type operation string

const (
	charge operation = "charge" // keeps keys
	post   operation = "post"   // promises nothing
	file   operation = "file"   // promises nothing, and can be asked what happened
)

// order is one thing that the agent wants done once.
type order struct {
	id      string
	op      operation
	payload string
	faults  []fault // of the first arrivals of a run, oldest first
}

// known is what is certain about one order.
type known struct {
	order
	asked      bool
	keys       []string // of intents that must be in the journal: begun, or arrived
	settled    string   // key of the intent whose answer the agent has
	status     int      // of that answer
	body       string
	effects    []event
	refusals   []event
	resolved   *event
	resolving  *event
	unrecorded bool // an answer was given that the journal may not have
}

// facts are what is certain after some events.
type facts struct {
	orders []*known
	byID   map[string]*known
	opened bool // Open returned once at least
	pruned bool // outcomes may have been pruned
}

func factsOf(p plan, events []event) *facts {
	f := &facts{byID: map[string]*known{}, pruned: p.prunes}
	for _, o := range p.orders {
		k := &known{order: o}
		f.orders = append(f.orders, k)
		f.byID[o.id] = k
	}
	for i := range events {
		f.add(&events[i])
	}
	return f
}

func (f *facts) add(e *event) {
	k := f.byID[e.order]
	switch e.kind {
	case opened:
		f.opened = true
	case asked:
		k.asked = true
	case begun, arrived:
		k.mustHave(e.key)
	case effected:
		k.effects = append(k.effects, *e)
	case refused:
		k.refusals = append(k.refusals, *e)
	case answered:
		k.settled, k.status, k.body = e.key, e.status, e.body
	case unrecorded:
		k.unrecorded = true
	case resolving:
		k.resolving = e
	case resolved:
		k.resolved = e
	}
}

func (k *known) mustHave(key string) {
	for _, have := range k.keys {
		if have == key {
			return
		}
	}
	k.keys = append(k.keys, key)
}
