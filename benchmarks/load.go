package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// runPairs opens one subject, lets its callers work for the warm-up and the measured time, and counts.
func runPairs(s spec) (res result, err error) {
	e, err := subjectByName(s.Subject)
	if err != nil {
		return res, err
	}
	sub := e.make(s)
	if err := sub.Open(s.Dir, s.Callers); err != nil {
		return res, fmt.Errorf("%s: open: %w", s.Subject, err)
	}
	defer func() {
		if cerr := sub.Close(); cerr != nil {
			err = errors.Join(err, fmt.Errorf("%s: close: %w", s.Subject, cerr))
		}
	}()
	if w, ok := sub.(witness); ok {
		res.Durability = w.Durability()
	}

	l := &load{sub: sub, weight: 1, hists: make([]histogram, s.Callers)}
	l.pairs = l.calls.Load
	if w, ok := sub.(weighted); ok {
		l.weight, l.pairs = w.Weight(), w.Done
	}
	l.next.Store(int64(s.First))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var callers sync.WaitGroup
	for c := range s.Callers {
		callers.Go(func() { l.call(ctx, &l.hists[c]) })
	}

	time.Sleep(s.Warmup)
	stopProfile, err := startProfile(s)
	if err != nil {
		return res, err
	}
	before := l.mark()
	l.measuring.Store(true)
	time.Sleep(s.Measure)
	for range 100 { // a subject that is slower than the measured time gets some more, instead of no figure
		if l.pairs() > before.done || l.stop.Load() {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	l.measuring.Store(false)
	after := l.mark()
	l.stop.Store(true)
	callers.Wait()
	if err := stopProfile(); err != nil {
		return res, err
	}
	if p := l.failed.Load(); p != nil {
		return res, fmt.Errorf("%s: %w", s.Subject, *p)
	}

	res.Pairs = after.done - before.done
	res.Total = l.pairs()
	res.Seconds = after.at.Sub(before.at).Seconds()
	if res.Pairs == 0 {
		return res, fmt.Errorf("%s: not one pair in %.0f s", s.Subject, res.Seconds)
	}
	n := float64(res.Pairs)
	res.Mallocs = float64(after.mallocs-before.mallocs) / n
	res.Bytes = float64(after.bytes-before.bytes) / n
	res.CPU = time.Duration(float64(after.cpu-before.cpu) / n)
	var all histogram
	for i := range l.hists {
		all.add(&l.hists[i])
	}
	res.P50, res.P99 = all.quantile(0.50), all.quantile(0.99)
	return res, nil
}

// openOnly opens and closes a subject, to know what that alone costs.
func openOnly(s spec) (result, error) {
	e, err := subjectByName(s.Subject)
	if err != nil {
		return result{}, err
	}
	sub := e.make(s)
	if err := sub.Open(s.Dir, s.Callers); err != nil {
		return result{}, err
	}
	return result{}, sub.Close()
}

// A load is callers at work.
type load struct {
	sub       subject
	weight    int          // pairs in one call
	pairs     func() int64 // pairs ended so far
	next      atomic.Int64 // the next call's number
	calls     atomic.Int64 // calls ended so far
	measuring atomic.Bool
	stop      atomic.Bool
	failed    atomic.Pointer[error]
	hists     []histogram // one a caller, so that nobody waits to count
}

func (l *load) call(ctx context.Context, h *histogram) {
	for !l.stop.Load() {
		start := time.Now()
		if err := l.sub.Pair(ctx, int(l.next.Add(1))); err != nil {
			l.failed.CompareAndSwap(nil, &err)
			l.stop.Store(true)
			return
		}
		l.calls.Add(1)
		if l.measuring.Load() {
			h.record(time.Since(start) / time.Duration(l.weight))
		}
	}
}

// A mark is what has been done and used up to an instant.
type mark struct {
	at             time.Time
	done           int64
	mallocs, bytes uint64
	cpu            time.Duration
}

func (l *load) mark() mark {
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	return mark{at: time.Now(), done: l.pairs(), mallocs: mem.Mallocs, bytes: mem.TotalAlloc, cpu: cpuTime()}
}

// cpuTime is the user and system time of this process, the C code in it included.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
