package main

import (
	"math/bits"
	"time"
)

// A histogram counts durations in buckets about 3 % wide. Its zero value is empty.
type histogram struct {
	counts [64 * subBuckets]int64
	total  int64
}

const subBuckets = 32

func (h *histogram) record(d time.Duration) {
	h.counts[bucket(uint64(max(d, 1)))]++
	h.total++
}

func (h *histogram) add(o *histogram) {
	for i, c := range o.counts {
		h.counts[i] += c
	}
	h.total += o.total
}

// quantile is the lower edge of the bucket that holds the given share; 0 when nothing was counted.
func (h *histogram) quantile(q float64) time.Duration {
	rest := int64(q * float64(h.total))
	for i, c := range h.counts {
		if rest -= c; rest < 0 {
			return edge(i)
		}
	}
	return 0
}

func bucket(v uint64) int {
	exp := bits.Len64(v) - 1
	if exp < 5 {
		return int(v)
	}
	return exp*subBuckets + int(v>>(exp-5))&(subBuckets-1)
}

func edge(i int) time.Duration {
	exp := i / subBuckets
	if exp < 5 {
		return time.Duration(i)
	}
	return time.Duration(1)<<exp + time.Duration(i%subBuckets)<<(exp-5)
}
