// Package contracts holds what payment, mail, bank, cloud and shop providers
// promise about idempotency keys: one function a provider, each returning a
// fresh [idem.Contract] value. Stripe's v1 API, the IETF draft and this
// project's own server side are in the root package.
//
//	idem.WithPolicy("send_mail", idem.Policy{Contract: contracts.Resend()})
//
// # Reading a profile
//
// The comment of each function says where the key goes and how long it is
// honoured, what a second request under the key is answered with, and which
// document says so. "Not confirmed" marks what no document was found for; what
// was taken instead is always the reading that can do less harm: the shorter
// retention, the shorter key, "unknown" rather than "refused". Where a provider
// honours keys and does not say for how long, Retention is one hour.
//
// The Verdict of a profile speaks up only where the reply carries an error code
// that it knows. All else it leaves to the usual table of the root package:
//
//   - 2xx is done, and is never sent again. A decline that comes inside a 2xx (a
//     card refused by its bank, say) is the outcome of the intent, and is handed
//     out again to whoever asks: trying another card is another intent.
//   - 4xx is refused, 401, 403, 425 and 429 for a passing reason; 407, 408, 412, 423,
//     424 and 5xx are unknown.
//   - 409 alone proves nothing. It means "an attempt is running", "the key is
//     known with other bytes", "this conflicts with what is there already" or
//     "you did this yourself a moment ago", and only the code tells which.
//
// GraphQL answers 200 whatever happened, so those profiles read the body. An
// error is taken for a refusal only if its kind is decided before the mutation
// runs, it concerns the mutation as a whole, and no data came beside it.
//
// # Changing a profile
//
// A contract is a value: take one and change a field. Raise Retention to what
// your agreement with the provider says, or move the key for an operation that
// has it elsewhere.
//
//	c := contracts.PayPal()
//	c.Retention = 45 * 24 * time.Hour // captures and refunds of the v2 Payments API
//
// To state one exception and keep the rest, wrap its Verdict and return
// [idem.ReplyUsual] for what the exception does not cover; see the examples.
package contracts
