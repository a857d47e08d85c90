package idem

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/idem-go/idem/internal/wire"
	"github.com/idem-go/idem/journal"
)

// doReadOnly sends a request that changes nothing: no journal, no key, retried
// freely, the reply streamed.
func (c *Client) doReadOnly(req *http.Request, op Operation, p *Policy) (*http.Response, error) {
	op, err := c.admit(req.Context(), op)
	if err != nil {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, err
	}
	h, body, s, err := wire.Read(req, c.readOptions(p))
	if err != nil {
		return nil, fmt.Errorf("idem: %s: %w; nothing was sent", op, err)
	}
	r := &journal.Record{Operation: op, Head: h.Encode(), Payload: body} // no KeyPlace: it carries no key
	var resp *http.Response
	retry := p.Retry.withDefaults()
	tries := 0
	target := *req.URL
	target.User, target.RawQuery, target.Fragment = nil, "", "" // go-retryablehttp need not know more
	waitErr := retryHTTP(req.Context(), retry, req.Method, &target, attemptFunc(func(ctx context.Context) attempted {
		tries++
		if resp != nil {
			resp.Body.Close()
		}
		w, wrong := wire.NewRequest(r, s)
		if err = wrong; err != nil {
			return attempted{}
		}
		out := w.HTTP(ctx)
		if p.Authorize != nil {
			if err = p.Authorize(out); err != nil {
				return attempted{}
			}
		}
		if resp, err = c.transport.RoundTrip(out); err != nil {
			err = wire.HideSecrets(wire.WithoutURL(err), out, "", p.Redact)
			return attempted{again: tries < retry.MaxAttempts && ctx.Err() == nil}
		}
		passing := resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= 500
		return attempted{
			status: resp.StatusCode, again: passing && tries < retry.MaxAttempts, asked: wire.RetryAfter(resp.Header, time.Now()),
		}
	}))
	if waitErr != nil && err == nil {
		err = wire.WithoutURL(waitErr)
	}
	if err != nil {
		if resp != nil {
			resp.Body.Close()
		}
		return nil, failure(ErrNotSent, err, "%s (read only): %v", op, err)
	}
	resp.Request = req
	return resp, nil
}

// readFailed is the failure of a tool that changes nothing.
type readFailed struct {
	op  Operation
	err error
}

func (e *readFailed) Error() string { return fmt.Sprintf("idem: %s (read only): %v", e.op, e.err) }

func (e *readFailed) Unwrap() error { return e.err }

// callReadOnly calls a function that changes nothing: no journal, no key, retried.
func (c *Client) callReadOnly(ctx context.Context, e *toolEntry, op Operation, input []byte) ([]byte, error) {
	var out []byte
	var err error
	// What it wrote under an operation of the context's would be another's write.
	ctx = context.WithValue(ctx, frameKey, nil)
	tries := 0
	retry := e.policy.Retry.withDefaults()
	ended := retryTool(ctx, retry, attemptFunc(func(ctx context.Context) attempted {
		tries++
		attemptCtx, cancel := context.WithTimeout(ctx, retry.AttemptTimeout)
		defer cancel()
		out, err = e.invoke(attemptCtx, "", input)
		return attempted{again: err != nil && !errors.Is(err, ErrRefused) && tries < retry.MaxAttempts && ctx.Err() == nil}
	}))
	if ended != nil && err == nil {
		err = ended
	}
	if err != nil {
		return nil, &readFailed{op, err}
	}
	return out, nil
}
