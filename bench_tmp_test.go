package idem_test

import (
	"fmt"
	"testing"

	"github.com/idem-go/idem"
)

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
