package idem_test

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
	"github.com/idem-go/idem/internal/wire"
)

// How patiently one call asks again: full jitter within bounds, what the far side
// asks for within bounds, and a budget across calls.

// A wait is random between nothing and MinBackoff doubled each time, never more
// than MaxBackoff, and the whole range is used.
func TestBackoffBounds(t *testing.T) {
	t.Parallel()
	r := idem.Retry{MinBackoff: 100 * time.Millisecond, MaxBackoff: time.Second}.WithDefaults()
	for made, ceiling := range map[int]time.Duration{
		1: 100 * time.Millisecond, 2: 200 * time.Millisecond, 3: 400 * time.Millisecond, 4: 800 * time.Millisecond,
		5: time.Second, 6: time.Second, 1000: time.Second, math.MaxInt32: time.Second,
	} {
		shortest, longest := time.Duration(math.MaxInt64), time.Duration(0)
		for range 2000 {
			wait := idem.Backoff(r, made, 0)
			shortest, longest = min(shortest, wait), max(longest, wait)
		}
		require.GreaterOrEqual(t, shortest, time.Duration(0))
		require.LessOrEqual(t, longest, ceiling, "after %d attempts", made)
		require.Less(t, shortest, ceiling/4, "after %d attempts: that is no full jitter", made)
		require.Greater(t, longest, ceiling*3/4, "after %d attempts", made)
	}
	longest := 365 * 24 * time.Hour
	for _, r := range []idem.Retry{{MinBackoff: longest, MaxBackoff: longest}, {MinBackoff: 1, MaxBackoff: longest}, {MinBackoff: 1, MaxBackoff: 1}, {}} {
		for _, made := range []int{0, 1, 64, 1 << 20} {
			for _, asked := range []time.Duration{0, 1, math.MaxInt64} {
				r := r.WithDefaults()
				wait := idem.Backoff(r, made, asked)
				require.GreaterOrEqual(t, wait, time.Duration(0))
				require.LessOrEqual(t, wait, max(r.MaxBackoff, idem.RetryAfterFactor*r.MaxBackoff))
			}
		}
	}
}

// What the far side asks for is the least that is waited, up to six times
// MaxBackoff.
func TestBackoffObeysRetryAfter(t *testing.T) {
	t.Parallel()
	r := idem.Retry{MinBackoff: time.Millisecond, MaxBackoff: 10 * time.Second}.WithDefaults()
	for asked, least := range map[time.Duration]time.Duration{
		0: 0, time.Second: time.Second, 10 * time.Second: 10 * time.Second, time.Minute: time.Minute,
		61 * time.Second: time.Minute, 24 * time.Hour: time.Minute,
	} {
		for range 100 {
			wait := idem.Backoff(r, 1, asked)
			require.GreaterOrEqual(t, wait, least)
			require.LessOrEqual(t, wait, max(least, time.Millisecond))
		}
	}
}

func TestRetryAfterForms(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"0": 0, "7": 7 * time.Second, " 7 ": 7 * time.Second, "1.5": 1500 * time.Millisecond, "120": 2 * time.Minute,
		"Mon, 23 Nov 2026 12:00:30 GMT":   30 * time.Second,
		"Mon, 23 Nov 2026 11:00:00 GMT":   0, // over already
		"Monday, 23-Nov-26 12:00:30 GMT":  30 * time.Second,
		"Mon Nov 23 12:00:30 2026":        30 * time.Second,
		"99999999999999999999":            1e9 * time.Second,
		"1e400":                           0,
		"-5":                              0,
		"NaN":                             0,
		"soon":                            0,
		"":                                0,
		"Mon, 23 Nov 2026 12:00:30":       0,
		"Thu, 01 Jan 9999 00:00:00 GMT":   time.Duration(math.MaxInt64),
		"30, 60":                          0,
		"\t12":                            12 * time.Second,
		"2026-11-23T12:00:30Z":            0, // no form that HTTP has
		"Mon, 23 Nov 2026 12:00:30 +0000": 0,
	} {
		require.Equal(t, want, wire.RetryAfter(http.Header{"Retry-After": {text}}, now), "%q", text)
	}
	require.Equal(t, 9*time.Second, wire.RetryAfter(http.Header{"Ratelimit-Reset": {"9"}}, now))
	require.Equal(t, 3*time.Second, wire.RetryAfter(http.Header{"Ratelimit-Reset": {"9"}, "Retry-After": {"3"}}, now))
	require.Equal(t, 9*time.Second, wire.RetryAfter(http.Header{"Ratelimit-Reset": {"9"}, "Retry-After": {"soon"}}, now))
	require.Zero(t, wire.RetryAfter(http.Header{}, now))
}

// Retries are paid from a bucket for each host: a far side that is down gets 100 of
// them and then one attempt a call, while other hosts are served as ever; each
// success pays a little back.
func TestRetryBudget(t *testing.T) {
	t.Parallel()
	var up atomic.Bool
	down := newFarSide(t, func(n int, w http.ResponseWriter) {
		if up.Load() {
			says(w, 200, `{}`)
		} else {
			says(w, 503, `{}`)
		}
	})
	other := newFarSide(t, func(n int, w http.ResponseWriter) {
		if n == 1 {
			hangUp()
		}
		says(w, 200, `{}`)
	})
	p := clientkit.Stripe()
	p.Retry = idem.Retry{MaxAttempts: 60, MinBackoff: 1, MaxBackoff: 1, AttemptTimeout: 20 * time.Second}
	c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithPolicy("*", p))
	call := func(f *farSide, id string) (arrivals int, err error) {
		before := len(f.arrivals())
		_, got := ask(t, c, testkit.NewInvoice(t, f.URL, 500), id)
		return len(f.arrivals()) - before, got.Err
	}
	for i, want := range []int{60, 42, 1, 1} { // 59 retries, 41, and none left
		n, err := call(down, fmt.Sprint(i))
		require.ErrorIs(t, err, idem.ErrInDoubt)
		require.Equal(t, want, n, "call %d", i)
	}
	n, err := call(other, "elsewhere")
	require.NoError(t, err)
	require.Equal(t, 2, n, "another host has a bucket of its own")

	up.Store(true)
	for i := range 10 {
		_, err := call(down, fmt.Sprint("up ", i))
		require.NoError(t, err)
	}
	up.Store(false)
	n, err = call(down, "down again")
	require.ErrorIs(t, err, idem.ErrInDoubt)
	require.Equal(t, 3, n, "ten successes pay for two retries")
}

// Whoever comes while an attempt is under way that everybody else has left gets the
// attempts of a call of his own, not the end of theirs.
func TestCallerWhoComesAfterAllHaveLeft(t *testing.T) {
	t.Parallel()
	reply := make(chan struct{})
	f := newFarSide(t, func(n int, w http.ResponseWriter) {
		if n == 1 {
			<-reply
			says(w, 503, `{}`)
		} else {
			says(w, 200, `{}`)
		}
	})
	c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithPolicy("*", clientkit.Stripe()))
	in, err := c.Begin(testkit.Context(t), idem.Operation{Name: "charge", ID: "1"}, testkit.NewInvoice(t, f.URL, 500))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(testkit.Context(t))
	first := clientkit.Doing(ctx, in)
	require.Eventually(t, func() bool { return len(f.arrivals()) == 1 }, time.Minute, time.Millisecond)
	cancel()
	require.ErrorIs(t, (<-first).Err, idem.ErrInDoubt)
	late := clientkit.Watch(testkit.Context(t), 1)
	second := clientkit.Doing(late, in)
	late.Waiting(t)
	close(reply)
	got := <-second
	require.NoError(t, got.Err)
	require.Equal(t, 200, got.Status)
	require.Len(t, f.arrivals(), 2)
}

// A ctx that ends while nothing is being sent ends the wait for the next attempt;
// what was sent stays in doubt and can be asked for again under the key.
func TestContextEndsBetweenAttempts(t *testing.T) {
	t.Parallel()
	f := newFarSide(t, func(n int, w http.ResponseWriter) {
		if n == 1 {
			w.Header().Set("Retry-After", "3600")
			says(w, 503, `{}`)
		} else {
			says(w, 200, `{}`)
		}
	})
	p := clientkit.Stripe()
	p.Retry.MinBackoff, p.Retry.MaxBackoff = time.Hour, time.Hour
	c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithPolicy("*", p))
	in, err := c.Begin(testkit.Context(t), idem.Operation{Name: "charge", ID: "1"}, testkit.NewInvoice(t, f.URL, 500))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(testkit.Context(t))
	got := clientkit.Doing(ctx, in)
	require.Eventually(t, func() bool { return len(f.arrivals()) == 1 }, time.Minute, time.Millisecond)
	cancel()
	end := <-got
	require.ErrorIs(t, end.Err, context.Canceled)
	require.ErrorIs(t, end.Err, idem.ErrInDoubt)
	require.NoError(t, clientkit.Do(testkit.Context(t), in).Err)
	require.Len(t, f.arrivals(), 2)
}

// A far side that asks to be left alone for a while is left alone for so long, on a
// clock of the test's own.
func TestRetryAfterIsObeyed(t *testing.T) {
	t.Parallel()
	path := testkit.NewPath(t)
	synctest.Test(t, func(t *testing.T) {
		var at []time.Time
		far := clientkit.RoundTrip(func(req *http.Request) (*http.Response, error) {
			at = append(at, time.Now())
			resp := &http.Response{
				StatusCode: http.StatusOK, Proto: "HTTP/1.1", Header: http.Header{"Content-Type": {"application/json"}},
				Body: io.NopCloser(strings.NewReader(`{}`)), ContentLength: 2, Request: req,
			}
			if len(at) == 1 {
				resp.StatusCode = http.StatusTooManyRequests
				resp.Header.Set("Retry-After", "7")
			}
			return resp, nil
		})
		p := idem.Policy{Contract: idem.Stripe(), Retry: idem.Retry{MinBackoff: time.Millisecond, MaxBackoff: 2 * time.Second}}
		c, err := idem.Open(path, idem.WithPolicy("*", p), idem.WithTransport(far))
		require.NoError(t, err)
		resp, err := c.Do(testkit.NewInvoice(t, "http://api.invalid", 500), clientkit.Order())
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, resp.StatusCode)
		require.Len(t, at, 2)
		require.GreaterOrEqual(t, at[1].Sub(at[0]), 7*time.Second)
		require.NoError(t, c.Close())
	})
}
