package idem

import (
	"context"
	"errors"
	"strings"
)

// Advice says in one sentence what a model may do about an error of this package,
// a refusal's own text included. It is empty for nil, and where the error is the
// program's business and no model can help: the journal, a context that ended, a
// closed client.
func Advice(err error) string {
	var read *readFailed
	switch {
	case err == nil, errors.Is(err, ErrMaybeRecorded):
		return ""
	case errors.Is(err, ErrUnrecorded):
		return "It is settled and its answer stands; do not ask for it again."
	case errors.Is(err, ErrOutcomeTruncated):
		return "It was done, but the answer was too long to keep; do not do it again."
	case errors.Is(err, ErrForgotten):
		return "It was settled before and its answer is not kept; do not do it again; look there, or ask a person, if the answer matters."
	case errors.Is(err, ErrInDoubt):
		return "It may have happened and nobody can tell yet; do not try it in another way, go on with something else or ask a person."
	case errors.Is(err, ErrClosed), errors.Is(err, ErrNoIntent), errors.Is(err, ErrNoScope):
		return ""
	case errors.Is(err, ErrMismatch):
		return "This was asked for before with other values, which stand; use the earlier answer, or name a new step if another thing is meant."
	case errors.Is(err, ErrDuplicate):
		return "The same thing was asked for a moment ago and is being done or done; do not ask again, or say that a repeat is intended."
	case errors.Is(err, ErrLimit):
		return "The limit for this action is reached; stop asking for it and tell the user."
	case errors.Is(err, ErrUnknownTool):
		return "There is no such tool; use one of those that are listed."
	case errors.Is(err, ErrNotSent):
		return "Nothing was sent and nothing happened; the same call may be made again later."
	case errors.Is(err, ErrRefused):
		return "It was refused and nothing happened (" + sentence(err) + "): mend the arguments, or do without it."
	case errors.As(err, &read) && !errors.Is(err, context.Canceled):
		return "It failed and changed nothing; it may be asked again."
	}
	return ""
}

// sentence is a refusal's own words on one line, of bounded length, without a full
// stop.
func sentence(err error) string {
	text := err.Error()
	var tool *toolError
	var own *because
	switch {
	case errors.As(err, &own) && own.said != "":
		text = own.said
	case errors.As(err, &own) && own.cause != nil:
		text = words(own.cause)
	case errors.As(err, &tool):
		text = words(tool)
	}
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > 300 {
		text = strings.ToValidUTF8(text[:300], "") + "…"
	}
	return strings.TrimSuffix(text, ".")
}
