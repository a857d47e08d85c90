package wire

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// seconds reads a count of seconds as headers have it.
func seconds(s string) (time.Duration, bool) {
	n, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil || n < 0 || n != n {
		return 0, false
	}
	return time.Duration(min(n, 1e9) * float64(time.Second)), true
}

// retryAfter is how long the far side asks to be left alone: Retry-After in
// seconds or as a date, else RateLimit-Reset in seconds. 0: it does not say.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	if v := h.Get("Retry-After"); v != "" {
		if d, ok := seconds(v); ok {
			return d
		}
		if at, err := http.ParseTime(v); err == nil {
			return max(0, at.Sub(now))
		}
	}
	d, _ := seconds(h.Get("RateLimit-Reset"))
	return d
}
