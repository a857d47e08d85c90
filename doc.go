// Package idem makes every side effect that an agent asks for happen once: charge,
// refund, mail, ticket, row, message. It is a library with one file on disk, no
// server, and no way of writing programs to learn.
//
// An intent is one logical use of an operation, such as create_invoice for
// order-1234. Its identity is (scope, operation, ID), it owns one key for ever, and
// it is on disk, with its exact payload, before the first byte leaves. Each attempt,
// in this process or the next, carries that key and those bytes. The first outcome
// is kept and handed out again. Another payload under the same identity is refused.
// What a crash left open, [Client.Recover] finishes.
//
// What the far side promises about keys is a [Contract]. With one that keeps keys,
// any number of crashes, callers and processes make one effect, as long as the far
// side honours the key. With none there is at most one effect, and what may have
// been sent is never sent again by itself: it is in doubt, never "failed", until
// Policy.Reconcile or a person says what happened.
//
// There are three shapes of use. A request of your own:
//
//	client, err := idem.Open("agent.db", idem.WithPolicy("create_invoice", idem.Policy{Contract: idem.Stripe()}))
//	resp, err := client.Do(req, idem.Operation{Name: "create_invoice", Scope: "run-42", ID: "order-1234"})
//
// Any Go function, as a tool:
//
//	charge, err := idem.NewTool(client, "charge", idem.Policy{Contract: idem.Stripe()}, chargeCard)
//	receipt, err := charge.Call(idem.WithScope(ctx, "run-42"), "order-1234", Charge{Cents: 500})
//
// An SDK that makes its own requests:
//
//	sdk.HTTPClient = &http.Client{Transport: client.Transport(nil)} // and its own retries off
//	ctx = idem.WithOperation(ctx, idem.Operation{Name: "stripe.create_invoice", ID: "order-1234"})
//
// An ID is the caller's stable name of the thing: an order number, a step of a plan.
// Never only a call id that a model made: models make a new one when they plan
// again. [Policy].ID takes it from fields of the payload instead.
package idem
