package wire

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// seconds parses a number of seconds in a header. It returns false if s is no number or
// is negative.
func seconds(s string) (time.Duration, bool) {
	n, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil || n < 0 || n != n {
		return 0, false
	}
	return time.Duration(min(n, 1e9) * float64(time.Second)), true
}

// RetryAfter returns how long after now the server asks the client to wait: the header
// Retry-After in seconds or as a date, or else RateLimit-Reset in seconds. It returns 0
// if the reply has neither.
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
