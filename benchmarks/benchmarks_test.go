package main

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Nobody is told that a record is durable before a sync that held it, and everybody is told in the end.
func TestCommitterAnswersAfterTheSync(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	held := map[string]bool{}
	c := committer{turns: 8, flush: func(records [][]byte) error {
		mu.Lock()
		defer mu.Unlock()
		for _, r := range records {
			held[string(r)] = true
		}
		return nil
	}}
	err := inParallel(32, 2000, func(i int) error {
		w := &waiter{record: []byte(payload(i)), answer: make(chan error, 1)}
		if err := c.commit(w); err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		if !held[payload(i)] {
			return errors.New("answered before the sync")
		}
		return nil
	})
	require.NoError(t, err)
	require.Len(t, held, 2000)
}

// After a sync that failed, nothing is called durable any more.
func TestCommitterIsPoisonedByAFailedSync(t *testing.T) {
	t.Parallel()
	broken := errors.New("the disk is gone")
	c := committer{flush: func([][]byte) error { return broken }}
	require.ErrorIs(t, c.commit(&waiter{answer: make(chan error, 1)}), broken)
	c.flush = func([][]byte) error { return nil }
	require.ErrorIs(t, c.commit(&waiter{answer: make(chan error, 1)}), broken)
}

// Quantiles are right to within a bucket, which is about 3 % wide.
func TestHistogramQuantiles(t *testing.T) {
	t.Parallel()
	var h histogram
	require.Zero(t, h.quantile(0.5))
	for i := 1; i <= 10_000; i++ {
		h.record(time.Duration(i) * time.Microsecond)
	}
	require.InEpsilon(t, float64(5*time.Millisecond), float64(h.quantile(0.50)), 0.04)
	require.InEpsilon(t, float64(9900*time.Microsecond), float64(h.quantile(0.99)), 0.04)
	require.Equal(t, 3*time.Nanosecond, edge(bucket(3)))
}

// A ratio is taken within a round: a round that was slow for all says nothing, and a round that failed is left out.
func TestRatioIsTheMedianWithinRounds(t *testing.T) {
	t.Parallel()
	run := func(pairs int64) result { return result{Pairs: pairs, Seconds: 1} }
	d := &driver{results: map[string][]result{
		"idem/1": {run(200), run(20), run(400)},
		"peer/1": {run(100), run(10), {Err: "failed"}},
	}}
	v, ok := d.ratio("idem", "peer", 1)
	require.True(t, ok)
	require.InDelta(t, 2, v, 0.001)
	_, ok = d.ratio("idem", "absent", 1)
	require.False(t, ok)
}

// The calls column of strace's summary is added up, with and without its errors column.
func TestSumCalls(t *testing.T) {
	t.Parallel()
	n, err := sumCalls(`% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 90.00    0.010000          10      1000           fdatasync
 10.00    0.001000          10        23         1 fsync
------ ----------- ----------- --------- --------- ----------------
100.00    0.011000          10      1023         1 total
`)
	require.NoError(t, err)
	require.Equal(t, 1023, n)
	n, err = sumCalls("")
	require.NoError(t, err)
	require.Zero(t, n)
}

// Every subject records the sizes that the tables speak of, and every configuration has a name of its own.
func TestSizesAndNames(t *testing.T) {
	t.Parallel()
	require.Len(t, payload(7), payloadSize)
	require.Len(t, outcome(7), outcomeSize)
	require.Len(t, chargeForm(7), payloadSize)
	require.Len(t, chargeReply(), outcomeSize)
	seen := map[string]bool{}
	for _, e := range subjects() {
		require.False(t, seen[e.name], e.name)
		seen[e.name] = true
	}
}
