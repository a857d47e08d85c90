// Package server is the server's side of the contract that idem's clients rely on:
// net/http middleware that executes each idempotency key once.
//
//	store, err := server.Open("keys.db")
//	once, err := server.New(store, server.Scope(accountOf))
//	http.Handle("/charges", authenticate(once(charge)))
//
// A request with an unsafe method is answered so:
//
//	no key, or one that is not valid     400 idempotency_key_required, idempotency_key_invalid
//	no verified caller                   401 principal_required
//	key unseen                           executed; the reply is made durable, then sent
//	key known, same payload              the first reply, byte for byte, Idempotent-Replayed: true
//	key known, another payload           409 idempotency_key_mismatch (422 with MismatchUnprocessable)
//	key being executed                   409 idempotency_key_in_use and Retry-After, or it waits (Wait)
//	key begun, its end not recorded      409 operation_uncertain until Resolve, or run again (RunAgain)
//	key expired                          executed anew; the new record names the old one
//	body too large, too many keys        413 body_too_large, 429 too_many_keys
//	store does not answer                503 store_unavailable
//
// The payload is compared before anything else is said of a key. Errors are problem
// documents (RFC 9457) with a stable code. Every reply says in Idem-Status what the
// middleware did: executed, replayed, refused-before-execution, in-flight, mismatch
// or uncertain.
//
// # What is kept
//
// The status, headers and body of the handler's reply, whatever its status, once the
// handler has run; not what Forget was called for. Set-Cookie goes to the first
// caller only and is never kept. A reply is sent when it is durable and not before,
// so it is buffered: Flush sends nothing, 1xx replies are dropped, connections
// cannot be hijacked, a stream arrives at its end. Upgrades are GET requests, and
// these pass untouched. A reply over MaxReply is replaced by a 500 reply_too_large,
// since the handler has run and must not run again.
//
// A caller who hangs up does not end the handler: it runs on, bounded by Timeout,
// and its reply waits for the retry.
//
// # What is uncertain
//
// A handler that panics, a process that dies, a reply that cannot be written: the
// key was begun, and the store cannot know how far its handler came. It is not
// executed again by itself. Look at Store.Uncertain, find out, and say so with
// Store.Resolve. SameTransaction closes the gap: there the effect and the reply are
// one commit.
//
// # Retention
//
// A key is honoured for 24 hours (Retention), counted from the end of its
// execution; keys that are executed or uncertain never expire. There is no header
// convention for telling callers, so say it in your API's documentation, as the IETF
// draft asks. Jumps of the wall clock while the server runs do not count; a clock
// that is set forward while it is down does.
package server
