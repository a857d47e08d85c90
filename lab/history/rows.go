package history

import (
	"slices"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/journal"
)

// rows looks at one intent's history by itself: what one owner at a time can have
// written, in which nothing that may have happened is said to have failed.
func (j *judge) rows(r *journal.Record) {
	last := journal.Summary{State: idem.Pending, WindowStart: r.CreatedAt}
	final := false   // settled for good
	unknown := false // some attempt, or a dead owner's silence, may have had its effect
	lastKind := journal.ChangeKind(0)
	for i, c := range r.Changes {
		bad := func(rule Rule, format string, args ...any) {
			j.bad(rule, r.Key, "version %d: "+format, append([]any{c.Version}, args...)...)
		}
		if c.Version != i+1 {
			bad(Fenced, "it is row %d", i+1)
		}
		if final {
			bad(Altered, "it comes after the intent was settled for good")
		}
		settles := c.State == idem.Succeeded || c.State == idem.Failed
		if settles != (c.Kind == journal.Settled || c.Kind == journal.Resolved) && c.State != idem.InDoubt {
			bad(Fenced, "a change of kind %d to %s", c.Kind, c.State)
		}
		if tookOver(c) && last.State == idem.Pending && !r.Terms.MarksAttempts {
			unknown = true
		}
		unknown = unknown || slices.ContainsFunc(c.NewAttempts, maybeSent)
		stored := c.Reply != nil && c.Reply.Header.Get("Idempotent-Replayed") == "true"
		switch {
		case c.State == idem.Failed && c.Kind == journal.Settled && unknown && !stored:
			bad(Misfailed, "it is said to have failed (%s), and an earlier attempt may have had its effect", c.Reason)
		case c.State == idem.Failed && c.MayHaveExecuted:
			bad(Misfailed, "it is said to have failed, and that it may have had its effect")
		case c.Failure == journal.FailedNotSent && !c.FirstSent.IsZero():
			bad(Misfailed, "it is said never to have been sent, and when it was sent first")
		case (c.Failure != journal.NotFailed) != (c.State == idem.Failed):
			bad(Misfailed, "it is %s, with the failure %d", c.State, c.Failure)
		}
		late := c.State == idem.Succeeded // by an owner that lost its claim, perhaps
		if c.Attempts < last.Attempts && !late {
			bad(Uncounted, "it knows of %d attempts, the row before of %d", c.Attempts, last.Attempts)
		}
		if !last.FirstSent.IsZero() && lastKind != journal.AttemptStarted && !late &&
			(!c.FirstSent.Equal(last.FirstSent) || !c.WindowStart.Equal(last.WindowStart)) {
			bad(Expired, "the first attempt or the window moved after something may have been sent")
		}
		if c.WindowStart.Before(last.WindowStart) && !late {
			bad(Expired, "the window moved back")
		}
		if settles {
			final = c.State == idem.Succeeded || c.Failure == journal.FailedPermanent || c.Failure == journal.FailedByResolver
			unknown = unknown && c.State != idem.Failed
		}
		last, lastKind = c.Summary, c.Kind
	}
}

// tookOver tells whether a change was made over a dead owner, of whose attempts
// nothing is known.
func tookOver(c journal.Change) bool {
	return c.Reason == "owner died" || c.Reason == "unrecorded run" || c.Reason == "robbery"
}

// maybeSent tells whether an attempt, by what it left, may have had its effect,
// whatever a contract says of replies.
func maybeSent(try journal.Attempt) bool {
	switch try.Status {
	case 0:
		return slices.Contains([]string{"connection lost", "connection reset", "reply cut"}, try.Reason)
	case 408, 500, 502, 504:
		return true
	}
	return false
}

// outcome compares where an intent stands with what the far side did.
func (j *judge) outcome(r *journal.Record) {
	effects := j.effects[r.Key]
	switch st := r.Summary(); st.State {
	case idem.Succeeded:
		if len(effects) == 0 {
			j.bad(Altered, r.Key, "it succeeded, and nothing happened")
		}
		if reply := replyOf(r); reply != nil && r.PrunedAt.IsZero() && !j.Ledger.KeysIgnored && !j.isStored(r.Key, reply) {
			j.bad(Altered, r.Key, "its outcome (%d, %.60q) is none that the far side has", reply.Status, reply.Body)
		}
	case idem.Failed:
		if len(effects) > 0 {
			j.bad(Misfailed, r.Key, "it failed (%d), and %d effects happened", st.Failure, len(effects))
		}
	}
}

func replyOf(r *journal.Record) *journal.Reply {
	for i := len(r.Changes) - 1; i >= 0; i-- {
		if r.Changes[i].Reply != nil {
			return r.Changes[i].Reply
		}
	}
	return nil
}

// isStored tells whether a body is what the far side stored under a key, or the
// resource itself, as it is found by asking.
func (j *judge) isStored(key string, reply *journal.Reply) bool {
	if reply.Size > int64(len(reply.Body)) {
		return true // over the limit: its hash is checked elsewhere
	}
	for _, k := range j.Ledger.Keys {
		if k.Key == key && k.Status < 300 && string(k.Body) == string(reply.Body) {
			return true
		}
	}
	for _, e := range j.effects[key] {
		if string(j.Ledger.Objects[e.Object]) == string(reply.Body) {
			return true
		}
	}
	return false
}

// told compares what agents were told with what is there in the end.
func (j *judge) told() {
	answers := map[string]Tell{}
	for _, t := range j.Told {
		r := j.byKey[t.Key]
		switch {
		case t.Kind == Stolen:
			j.bad(Fenced, t.Key, "agent %d settled what a living process owns", t.Agent)
			continue
		case r == nil:
			j.bad(Lost, t.Key, "agent %d was told %q of %s, and there is no such intent", t.Agent, t.Kind, t.ID)
			continue
		case t.Kind == Sending && t.Owner != journal.OwnedBySelf:
			j.bad(Fenced, t.Key, "agent %d was about to send what is not its own (owner %d)", t.Agent, t.Owner)
		case t.Kind == Sending && (t.State == idem.Succeeded || t.State == idem.Failed):
			j.bad(Fenced, t.Key, "agent %d was about to send what is %s", t.Agent, t.State)
		}
		if t.Kind != Answered || t.Status >= 300 {
			continue
		}
		if r.Summary().State != idem.Succeeded {
			j.bad(Lost, t.Key, "agent %d was told that it succeeded, and it is %s", t.Agent, r.Summary().State)
		} else if reply := replyOf(r); reply != nil && r.PrunedAt.IsZero() && Sum(reply.Body) != t.Sum {
			j.bad(Altered, t.Key, "agent %d was given another answer than the journal has", t.Agent)
		}
		if first, known := answers[t.ID]; known && (first.Sum != t.Sum || first.Key != t.Key) {
			j.bad(Altered, t.Key, "agents %d and %d were given different answers for %s", first.Agent, t.Agent, t.ID)
		}
		answers[t.ID] = t
	}
}
