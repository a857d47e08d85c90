package idem

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

// backoff is how long to wait before the next attempt: full jitter, and what the
// far side asked for, within bounds. n counts the attempts made.
func backoff(r Retry, n int, asked time.Duration) time.Duration {
	ceiling := r.MinBackoff
	for i := 1; i < n && ceiling < r.MaxBackoff; i++ {
		ceiling *= 2
	}
	wait := rand.N(min(ceiling, r.MaxBackoff) + 1)
	return max(wait, min(asked, retryAfterFactor*r.MaxBackoff))
}

// loop is one call's attempts. What an attempt proved decides; go-retryablehttp
// only drives the second and later ones, so it is given nothing it could act on by
// itself: a reply that is the same each time, no body, no URL, and no logger.
type loop struct {
	attempt func(ctx context.Context) (again bool, asked time.Duration)
	retry   Retry

	again   bool
	asked   time.Duration
	started bool
}

// tryUntil makes attempts until one says that it was the last, or ctx ends between
// two.
func tryUntil(ctx context.Context, r Retry, attempt func(ctx context.Context) (again bool, asked time.Duration)) error {
	again, asked := attempt(ctx)
	if !again {
		return nil
	}
	return tryAgain(ctx, r, asked, attempt)
}

// tryAgain is tryUntil after an attempt that was not the last: the next one is made
// after a while. Most calls need no second attempt, and nothing that is made for it.
func tryAgain(ctx context.Context, r Retry, asked time.Duration, attempt func(ctx context.Context) (again bool, asked time.Duration)) error {
	l := &loop{attempt: attempt, retry: r, again: true, asked: asked}
	return l.run(ctx)
}

// run makes the second and later attempts.
func (l *loop) run(ctx context.Context) error {
	client := &retryablehttp.Client{
		HTTPClient: &http.Client{Transport: l},
		RetryMax:   l.retry.MaxAttempts,
		CheckRetry: func(context.Context, *http.Response, error) (bool, error) { return l.again, nil },
		Backoff: func(_, _ time.Duration, n int, _ *http.Response) time.Duration {
			return backoff(l.retry, n+1, l.asked)
		},
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://idem.invalid/", nil)
	if err != nil {
		return err
	}
	_, err = client.Do(&retryablehttp.Request{Request: req})
	return err
}

// RoundTrip makes one attempt; the first was made before. What goes to the wire is
// built there.
func (l *loop) RoundTrip(req *http.Request) (*http.Response, error) {
	if l.started {
		l.again, l.asked = l.attempt(req.Context())
	}
	l.started = true
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: req}, nil
}

// budget is a bucket of retries for each host, so that many intents together do
// not hammer a provider that is down. The figures are those of the AWS SDKs.
type budget struct {
	mu     sync.Mutex
	tokens map[string]int
}

const (
	budgetFull    = 500
	budgetRetry   = 5
	budgetTimeout = 10
	budgetSuccess = 1
	budgetHosts   = 4096 // more hosts than that start with a full bucket again
)

func newBudget() *budget { return &budget{tokens: map[string]int{}} }

// take pays for one retry; false: the bucket is empty, and the call stops here.
func (b *budget) take(host string, timeout bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	left, known := b.tokens[host]
	if !known {
		left = budgetFull
	}
	cost := budgetRetry
	if timeout {
		cost = budgetTimeout
	}
	if left < cost {
		return false
	}
	if !known && len(b.tokens) >= budgetHosts {
		clear(b.tokens)
	}
	b.tokens[host] = left - cost
	return true
}

// give pays back for one success.
func (b *budget) give(host string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if left, known := b.tokens[host]; known {
		if left += budgetSuccess; left >= budgetFull {
			delete(b.tokens, host)
		} else {
			b.tokens[host] = left
		}
	}
}
