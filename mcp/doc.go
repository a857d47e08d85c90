// Package idemmcp puts the tools of an MCP server behind idem: a tools/call that
// does something does it once, however often the same call arrives and whatever
// dies in between.
//
//	guard, err := idemmcp.Middleware(client, idemmcp.Options{
//		Policies: map[string]idem.Policy{"charge": {Contract: idem.Stripe(), ID: []string{"/order"}}},
//	})
//	server.AddReceivingMiddleware(guard)
//
// # What is the same call
//
// The intent's operation is the tool's name, its payload the arguments. Its scope is
// who calls, as the session proved it (Options.Scope), never what the caller wrote.
// Its ID is what the caller gives as _meta["io.github.idem-go/id"], else what the
// server's author names by Policy.ID, else none: then each call is an intent of its
// own, and only Policy.Window can tell that one was sent twice.
//
// # What changes something
//
// Every tool does, unless the author's Policy says ReadOnly and the tool's
// annotations say readOnlyHint: true as well. Hints tighten and never relax: without
// a policy the hint alone changes nothing, and without the hint neither does the
// policy.
//
// # What an answer means
//
// A result is the outcome: recorded, and handed out to whoever calls again, marked
// _meta["io.github.idem-go/replayed"]: true. A result that asks for input
// (input_required) is not an outcome: the same call, with the answers, runs the
// handler again under the same key; so a handler asks before it acts. A handler's
// error says what it knows as a tool function's does: idem.Refused, idem.NotSent, or
// that it may have happened; what the caller hears of it is idem.Advice.
//
// The handler runs on a context that outlives the caller's: a client that hangs up
// does not cut it, and its outcome is recorded. Policy.Retry.AttemptTimeout bounds
// it; give a tool that waits for a person on older protocol versions, where the
// session is asked in the middle of the call, as long as a person needs.
//
// # After a crash
//
// A handler runs in its client's session, so Client.Recover cannot run it. What was
// under way is finished by the client's own second call, under the same key; what
// may not be run again is in doubt, for Policy.Reconcile or a person.
package idemmcp
