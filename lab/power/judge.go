//go:build linux && cgo

package power

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/idem-go/idem"
)

// judge boots the library on what is left, lets it recover and the agent ask for
// everything again, and looks for what must never be: an acknowledged intent or
// outcome that is lost, an effect that happens twice or belongs to no intent, a
// failure that is none, an answer that is not the far side's.
type judge struct {
	agent  *agent
	facts  *facts
	faulty bool // the disk failed while the image was made
	found  []Violation
}

func (j *judge) bad(rule Rule, format string, args ...any) {
	j.found = append(j.found, Violation{rule, fmt.Sprintf(format, args...)})
}

func (j *judge) whole(ctx context.Context, thorough bool) {
	err := j.agent.start()
	if err != nil && j.faulty && !j.facts.opened {
		// The very first Open failed, or was cut off, on a disk that failed: nothing
		// was promised yet, and a file that SQLite could not make is deleted by hand.
		return
	}
	if err != nil {
		j.bad(Refused, "refused to open: %v", err)
		return
	}
	defer func() {
		if err := j.agent.stop(); err != nil {
			j.bad(Trouble, "Close: %v", err)
		}
	}()
	j.nothingLost(ctx)
	if _, err := j.agent.client.Recover(ctx); err != nil {
		j.bad(Trouble, "Recover: %v", err)
	}
	j.settledByRecover(ctx)
	for _, k := range j.facts.orders {
		if k.asked {
			j.askAgain(ctx, k)
		}
	}
	j.effects(ctx)
	if !thorough || len(j.found) > 0 {
		return
	}
	// What was answered after the crash must itself be there in the next process.
	if err := errors.Join(j.agent.stop(), j.agent.start()); err != nil {
		j.bad(Trouble, "closing and opening again: %v", err)
		return
	}
	j.nothingLost(ctx)
	j.effects(ctx)
}

// nothingLost looks at what the journal says before anything is done.
func (j *judge) nothingLost(ctx context.Context) {
	for _, k := range j.facts.orders {
		for _, key := range k.keys {
			in, err := j.agent.client.Lookup(ctx, key)
			if err != nil {
				j.bad(j.unless(err, Lost), "%s: key %s was begun or sent: %v", k.id, key, err)
				continue
			}
			if !j.facts.pruned && string(in.Payload()) != k.payload {
				j.bad(Lost, "%s: key %s has the payload %.40q", k.id, key, in.Payload())
			}
		}
		if k.settled != "" {
			j.stillSettled(ctx, k)
		}
		if k.resolved != nil {
			j.stillResolved(ctx, k)
		}
	}
	j.truthful(ctx)
}

// unless tells a loss that nobody is told of from an error that says so.
func (j *judge) unless(err error, silent Rule) Rule {
	if errors.Is(err, idem.ErrNoIntent) {
		return silent
	}
	return Trouble
}

func (j *judge) stillSettled(ctx context.Context, k *known) {
	in, err := j.agent.client.Lookup(ctx, k.settled)
	if err != nil {
		return // told already
	}
	wanted := idem.Succeeded
	if k.status >= 400 {
		wanted = idem.Failed
	}
	if in.State() != wanted && !(wanted == idem.Failed && k.status == http.StatusTooManyRequests) {
		j.bad(Lost, "%s: its outcome (%d) was handed out, and it is %v", k.id, k.status, in.State())
	}
	if wanted == idem.Succeeded && !j.facts.pruned && string(in.Outcome()) != k.body {
		j.bad(WrongAnswer, "%s: its outcome was %q and is %q", k.id, k.body, in.Outcome())
	}
}

func (j *judge) stillResolved(ctx context.Context, k *known) {
	in, err := j.agent.client.Lookup(ctx, k.resolved.key)
	if err != nil {
		return
	}
	if (in.State() == idem.Succeeded) != k.resolved.ok || (in.State() == idem.Failed) == k.resolved.ok {
		j.bad(Lost, "%s: it was resolved (happened: %v), and it is %v", k.id, k.resolved.ok, in.State())
	}
}

// truthful compares every intent there is with the far side.
func (j *judge) truthful(ctx context.Context) {
	for in, err := range j.agent.client.Intents(ctx, idem.Filter{}) {
		if err != nil {
			j.bad(Trouble, "the journal cannot be read: %v", err)
			return
		}
		k := j.facts.byID[in.Operation().ID]
		if k == nil || !k.asked {
			j.bad(Trouble, "an intent of %q, which nobody asked for", in.Operation().ID)
			continue
		}
		mine := func(e event) bool { return e.key == in.Key() }
		effects := slices.DeleteFunc(slices.Clone(j.agent.far.did(k.id)), func(e event) bool { return !mine(e) })
		switch in.State() {
		case idem.Succeeded:
			if len(effects) == 0 {
				j.bad(WrongAnswer, "%s: Succeeded, and nothing happened", k.id)
			} else if out := string(in.Outcome()); out != effects[0].body && !j.facts.pruned {
				j.bad(WrongAnswer, "%s: the far side answered %q, the journal says %q", k.id, effects[0].body, out)
			}
		case idem.Failed:
			if len(effects) > 0 {
				j.bad(WronglyFailed, "%s: it happened", k.id)
			}
		}
	}
}

// settledByRecover looks for what Recover should have settled: the far side keeps
// keys, or can be asked.
func (j *judge) settledByRecover(ctx context.Context) {
	open := idem.Filter{States: []idem.State{idem.Pending, idem.InDoubt}}
	for in, err := range j.agent.client.Intents(ctx, open) {
		switch {
		case err != nil:
			j.bad(Trouble, "the journal cannot be read: %v", err)
			return
		case in.State() == idem.Pending || in.Operation().Name != string(post):
			j.bad(Trouble, "%s: still %v after Recover", in.Operation().ID, in.State())
		}
	}
}

// askAgain is the agent that plans the same order again after the crash.
func (j *judge) askAgain(ctx context.Context, k *known) {
	before, sent := len(j.agent.far.did(k.id)), j.agent.far.arrivals(k.id)
	req, err := k.request()
	if err != nil {
		j.bad(Trouble, "%s: %v", k.id, err)
		return
	}
	status, body, err := replyOf(j.agent.client.Do(req, k.operation()))
	effects := j.agent.far.did(k.id)
	switch {
	case err == nil && status == http.StatusOK:
		if len(effects) == 0 || effects[0].body != body {
			j.bad(WrongAnswer, "%s: answered %q, and the far side did %v", k.id, body, effects)
		}
	case err == nil && status == http.StatusBadRequest:
		if len(effects) > 0 {
			j.bad(WronglyFailed, "%s: answered that it was refused, and it happened", k.id)
		}
	case err == nil:
		j.bad(WrongAnswer, "%s: answered %d %q by a far side that is sound", k.id, status, body)
	case errors.Is(err, idem.ErrForgotten) && j.facts.pruned:
	case errors.Is(err, idem.ErrInDoubt) && k.op == post:
	case errors.Is(err, idem.ErrRefused):
		if len(effects) > 0 {
			j.bad(WronglyFailed, "%s: refused, and it happened: %v", k.id, err)
		}
	default:
		j.bad(Trouble, "%s: Do: %v", k.id, err)
	}
	if k.settled != "" && k.status < 400 && (len(effects) > before || j.agent.far.arrivals(k.id) > sent) {
		j.bad(Duplicated, "%s: sent again after its outcome was handed out", k.id)
	}
	if k.settled != "" && err == nil && k.status < 400 && body != k.body {
		j.bad(WrongAnswer, "%s: answered %q before the crash and %q after it", k.id, k.body, body)
	}
}

// effects counts what the far side did in the end.
func (j *judge) effects(ctx context.Context) {
	for _, k := range j.facts.orders {
		effects := j.agent.far.did(k.id)
		if len(effects) > 1 {
			j.bad(Duplicated, "%s: %d effects", k.id, len(effects))
		}
		for _, e := range effects {
			if _, err := j.agent.client.Lookup(ctx, e.key); err != nil {
				j.bad(j.unless(err, Orphaned), "%s: an effect under key %s: %v", k.id, e.key, err)
			}
		}
	}
}
