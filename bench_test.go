package idem_test

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

func benchClient(b *testing.B) *idem.Client {
	b.Helper()
	c, err := idem.Open(filepath.Join(b.TempDir(), "bench.db"),
		idem.WithPolicy("charge", idem.Policy{Contract: idem.Stripe()}),
		idem.WithTransport(clientkit.Instant{Body: `{"id":"` + strings.Repeat("x", 1000) + `"}`}))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := c.Close(); err != nil {
			b.Error(err)
		}
	})
	return c
}

func benchRequest(b *testing.B) *http.Request {
	req, err := http.NewRequest(http.MethodPost, "http://api.invalid/v1/charges", strings.NewReader("note="+strings.Repeat("x", 500)))
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return req
}

func byCallers(b *testing.B, callers int, do func(n int64)) {
	var n atomic.Int64
	b.ReportAllocs()
	b.SetParallelism((callers + 1) / 2)
	b.ResetTimer()
	if callers == 1 {
		for b.Loop() {
			do(n.Add(1))
		}
		return
	}
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			do(n.Add(1))
		}
	})
}

// BenchmarkDo is a pair: an intent begun with 500 bytes, and an outcome of 1 KiB.
func BenchmarkDo(b *testing.B) {
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			c := benchClient(b)
			byCallers(b, callers, func(n int64) {
				resp, err := c.Do(benchRequest(b), idem.Operation{Name: "charge", ID: fmt.Sprintf("order-%d", n)})
				if err != nil {
					b.Error(err)
					return
				}
				resp.Body.Close()
			})
		})
	}
}

// BenchmarkBegin is an intent made durable.
func BenchmarkBegin(b *testing.B) {
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			c := benchClient(b)
			byCallers(b, callers, func(n int64) {
				op := idem.Operation{Name: "charge", ID: fmt.Sprintf("order-%d", n)}
				if _, err := c.Begin(context.Background(), op, benchRequest(b)); err != nil {
					b.Error(err)
				}
			})
		})
	}
}

// BenchmarkReplay is a settled intent asked for again.
func BenchmarkReplay(b *testing.B) {
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			c := benchClient(b)
			op := func(n int64) idem.Operation {
				return idem.Operation{Name: "charge", ID: fmt.Sprintf("order-%d", n%256)}
			}
			for n := range int64(256) {
				if _, err := c.Do(benchRequest(b), op(n)); err != nil {
					b.Fatal(err)
				}
			}
			byCallers(b, callers, func(n int64) {
				if _, err := c.Do(benchRequest(b), op(n)); err != nil {
					b.Error(err)
				}
			})
		})
	}
}

// BenchmarkRecover finishes 100 intents that an earlier process left, opening
// included.
func BenchmarkRecover(b *testing.B) {
	const left = 100
	open := func(path string) *idem.Client {
		c, err := idem.Open(path, idem.WithPolicy("charge", idem.Policy{Contract: idem.Stripe()}), idem.WithTransport(clientkit.Instant{Body: `{}`}))
		if err != nil {
			b.Fatal(err)
		}
		return c
	}
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		path := filepath.Join(b.TempDir(), "bench.db")
		c := open(path)
		for n := range left {
			op := idem.Operation{Name: "charge", ID: fmt.Sprintf("order-%d", n)}
			if _, err := c.Begin(context.Background(), op, benchRequest(b)); err != nil {
				b.Fatal(err)
			}
		}
		if err := c.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		c = open(path)
		report, err := c.Recover(context.Background())
		if err != nil || report.Succeeded != left {
			b.Fatal(report, err)
		}
		if err := c.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkColdReplay(b *testing.B) {
	c := benchClient(b)
	op := func(n int64) idem.Operation {
		return idem.Operation{Name: "charge", ID: fmt.Sprintf("order-%d", n%20000)}
	}
	byCallers(b, 1, func(n int64) {})
	b.StopTimer()
	for n := range int64(20000) {
		if _, err := c.Do(benchRequest(b), op(n)); err != nil {
			b.Fatal(err)
		}
	}
	b.StartTimer()
	byCallers(b, 64, func(n int64) {
		if _, err := c.Do(benchRequest(b), op(n)); err != nil {
			b.Error(err)
		}
	})
}
