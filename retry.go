package idem

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

// backoff returns how long to wait before the next attempt: a random part of a
// ceiling that doubles with each attempt, and at least what the server asked for,
// within bounds. n is how many attempts were made.
func backoff(r Retry, n int, asked time.Duration) time.Duration {
	ceiling := r.MinBackoff
	for i := 1; i < n && ceiling < r.MaxBackoff; i++ {
		ceiling *= 2
	}
	wait := rand.N(min(ceiling, r.MaxBackoff) + 1)
	return max(wait, min(asked, retryAfterFactor*r.MaxBackoff))
}

// attempted is what the retry loop needs to know of one attempt.
type attempted struct {
	status int           // of the reply; 0: there was none
	again  bool          // another attempt may follow
	asked  time.Duration // how long the server asked to be left alone; 0: it did not say
}

// attempter makes the attempts of one call. What an attempt proved decides whether
// another one follows.
type attempter interface {
	attempt(ctx context.Context) attempted
}

// attemptFunc is an attempter made of a function.
type attemptFunc func(ctx context.Context) attempted

func (f attemptFunc) attempt(ctx context.Context) attempted { return f(ctx) }

// retryHTTP makes the attempts of one call that sends requests, until one is the
// last, or ctx ends while it waits between two: then the error is ctx's.
//
// go-retryablehttp drives the attempts. Its HTTP client's transport is the attempter,
// which builds its own request: method and target only say where that goes. Whether
// to retry is read from what attempt returned, never from a response or an error.
func retryHTTP(ctx context.Context, r Retry, method string, target *url.URL, by attempter) error {
	l := &httpLoop{by: by, retry: r}
	l.http = http.Client{Transport: l, CheckRedirect: keepRedirect}
	l.client.HTTPClient = &l.http
	l.client.RetryMax = r.MaxAttempts // attempt stops before
	l.client.CheckRetry, l.client.Backoff, l.client.ErrorHandler = l.checkRetry, l.backoff, giveUp
	req := http.Request{Method: method, URL: target, Host: target.Host, Header: http.Header{}}
	l.request.Request = req.WithContext(ctx)
	_, err := l.client.Do(&l.request)
	return err
}

// httpLoop is one retryHTTP, in one piece. It has no CloseIdleConnections, which
// go-retryablehttp calls on failure: connections are shared with other calls.
type httpLoop struct {
	by    attempter
	retry Retry
	last  attempted

	client   retryablehttp.Client
	http     http.Client
	request  retryablehttp.Request
	response http.Response // of the last attempt
}

var errNoReply = errors.New("the attempt brought no reply")

// RoundTrip makes one attempt. It implements http.RoundTripper.
func (l *httpLoop) RoundTrip(req *http.Request) (*http.Response, error) {
	l.last = l.by.attempt(req.Context())
	if l.last.status == 0 {
		return nil, errNoReply
	}
	l.response = http.Response{StatusCode: l.last.status, Body: http.NoBody, Request: req}
	return &l.response, nil
}

func (l *httpLoop) checkRetry(context.Context, *http.Response, error) (bool, error) {
	return l.last.again, nil
}

func (l *httpLoop) backoff(_, _ time.Duration, n int, _ *http.Response) time.Duration {
	return backoff(l.retry, n+1, l.last.asked)
}

// giveUp returns no error after the last attempt: the caller knows what each
// attempt proved.
func giveUp(resp *http.Response, _ error, _ int) (*http.Response, error) { return resp, nil }

// keepRedirect has the HTTP client return a redirect as it is.
func keepRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// retryTool is retryHTTP for a tool's function, which has no request.
func retryTool(ctx context.Context, r Retry, by attempter) error {
	for n := 1; ; n++ {
		a := by.attempt(ctx)
		if !a.again {
			return nil
		}
		timer := time.NewTimer(backoff(r, n, a.asked))
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
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
