//go:build cgo

package sqlite

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	sqlite3 "github.com/mattn/go-sqlite3"
)

// committer writes what many callers bring in one transaction with one fsync.
// There is no goroutine and no timer: the first caller leads, lets others queue
// for a moment, writes everybody's rows, and answers them after the fsync. Whoever
// queued meanwhile leads next.
type committer struct {
	conn *conn
	turn func(ctx context.Context) (func(), error) // this process's turn among processes
	also func(c *conn) error                       // what rides along with a transaction that writes

	busyLimit time.Duration // how long a process that holds SQLite's write lock is waited for
	suspects  func() string // says which process that can be

	done func(committed bool) // told how that went

	mu      sync.Mutex
	queue   []*write
	spare   []*write // answered ones, to be used again
	leading bool
	wrote   int   // by the last batch
	broken  error // an I/O error at COMMIT: nothing more is written until it is reopened
}

// rows is what a caller brings to a transaction.
type rows interface {
	// apply runs inside the transaction. It may run more than once, each time as if
	// it had not run before.
	apply(c *conn) error
}

// applyFunc is rows made of a function.
type applyFunc func(c *conn) error

func (f applyFunc) apply(c *conn) error { return f(c) }

// write is one caller's part of a transaction.
type write struct {
	rows
	err    error
	signal chan bool // true: answered; false: lead
}

// gathering is how often a leader lets others run before it takes the queue. More
// makes larger batches and a later answer.
const gathering = 4

// commit runs apply in a transaction that is durable when commit returns nil.
func (q *committer) commit(ctx context.Context, apply func(c *conn) error) error {
	return q.put(ctx, applyFunc(apply))
}

// put writes rows in a transaction that is durable when put returns nil. A ctx that
// ends takes them out of the queue; once they are being written, their end is
// waited for.
func (q *committer) put(ctx context.Context, r rows) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	q.mu.Lock()
	if q.broken != nil {
		err := q.broken
		q.mu.Unlock()
		return err
	}
	w := q.take()
	w.rows = r
	err := q.answer(ctx, w)
	q.mu.Lock()
	w.rows, w.err = nil, nil
	q.spare = append(q.spare, w) // nobody else knows of it any more
	q.mu.Unlock()
	return err
}

// take is a write to fill in. q.mu is held.
func (q *committer) take() *write {
	if last := len(q.spare) - 1; last >= 0 {
		w := q.spare[last]
		q.spare = q.spare[:last]
		return w
	}
	return &write{signal: make(chan bool, 1)}
}

// answer queues a write, and leads where nobody does. q.mu is held, and released.
func (q *committer) answer(ctx context.Context, w *write) error {
	q.queue = append(q.queue, w)
	if q.leading {
		q.mu.Unlock()
		select {
		case answered := <-w.signal:
			if answered {
				return w.err
			}
		case <-ctx.Done():
			if q.withdraw(w) {
				return ctx.Err()
			}
			if answered := <-w.signal; answered {
				return w.err
			}
		}
		// It leads now, its own write among those it writes.
	} else {
		q.leading = true
		q.mu.Unlock()
	}
	q.lead(ctx, w)
	return w.err
}

// withdraw takes a write out of the queue, if nobody writes it yet and it was not
// told to lead.
func (q *committer) withdraw(w *write) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, queued := range q.queue {
		if queued == w && len(w.signal) == 0 {
			q.queue = append(q.queue[:i:i], q.queue[i+1:]...)
			return true
		}
	}
	return false
}

// lead takes the write lock, writes what is queued by then, its own write
// included, and passes the lead on. Until it has the lock anybody may leave the
// queue; a leader whose time is up leaves alone.
func (q *committer) lead(ctx context.Context, own *write) {
	q.mu.Lock()
	alone := len(q.queue) == 1 && q.wrote <= 1 // then letting others run only wakes another thread
	q.mu.Unlock()
	for n, i := 0, 0; i < gathering && !alone; i++ {
		runtime.Gosched()
		q.mu.Lock()
		grown := len(q.queue)
		q.mu.Unlock()
		if grown == n {
			break
		}
		n = grown
	}
	err := q.lock(ctx)
	var batch []*write
	q.mu.Lock()
	if err != nil && ctx.Err() != nil {
		for i, w := range q.queue {
			if w == own {
				q.queue = append(q.queue[:i:i], q.queue[i+1:]...)
				break
			}
		}
		own.err = err
	} else {
		batch, q.queue = q.queue, nil
		q.wrote = len(batch)
	}
	q.mu.Unlock()
	q.write(batch, err)

	q.mu.Lock()
	var next *write
	if len(q.queue) > 0 {
		next = q.queue[0]
		next.signal <- false
	} else {
		q.leading = false
	}
	q.mu.Unlock()
	for _, w := range batch {
		if w != own {
			w.signal <- true
		}
	}
}

// lock waits for this process's turn and for SQLite's write lock.
func (q *committer) lock(ctx context.Context) error {
	release, err := q.turn(ctx)
	if err != nil {
		return err
	}
	err = q.begin(ctx)
	release() // with the write lock in hand, the next process may wait for it
	return err
}

// write writes a batch in the transaction that was begun, unless that failed. A
// write that fails is answered by itself, and the others are written without it.
func (q *committer) write(left []*write, err error) {
	for len(left) > 0 {
		var failed *write
		if err == nil {
			if failed, err = q.transaction(left); err == nil {
				return
			}
		}
		if failed == nil { // the whole batch, not one of its writes
			for _, w := range left {
				w.err = err
			}
			return
		}
		failed.err = err
		rest := make([]*write, 0, len(left)-1)
		for _, w := range left {
			if w != failed {
				rest = append(rest, w)
			}
		}
		if left, err = rest, nil; len(left) > 0 {
			err = q.begin(context.Background())
		}
	}
}

// transaction ends the transaction that was begun, with the rows of a batch.
func (q *committer) transaction(batch []*write) (failed *write, err error) {
	q.conn.changed, q.conn.last, q.conn.newest = false, rowMark{}, -1
	q.conn.placing = placing{added: q.conn.placing.added[:0]}
	for _, w := range batch {
		if err := w.apply(q.conn); err != nil {
			if undo := q.rollBack(); undo != nil {
				return nil, errors.Join(err, undo)
			}
			return w, plain(err)
		}
	}
	if q.conn.changed {
		defer func() { q.done(err == nil) }()
		if err := q.also(q.conn); err != nil {
			return nil, errors.Join(plain(err), q.rollBack())
		}
	}
	if err := q.conn.exec("COMMIT"); err != nil {
		return nil, q.commitFailed(err)
	}
	return nil, nil
}

// rollBack ends a transaction without its rows; SQLite may have done so itself.
func (q *committer) rollBack() error {
	if q.conn.raw.AutoCommit() {
		return nil
	}
	err := q.conn.exec("ROLLBACK")
	if err != nil {
		q.fail(err)
	}
	return err
}

// begin takes SQLite's write lock, waiting in steps for a writer that is not one
// of ours.
func (q *committer) begin(ctx context.Context) error {
	var waited, step time.Duration
	for {
		err := q.conn.exec("BEGIN IMMEDIATE")
		if err == nil || !isBusy(err) {
			return plain(err)
		}
		if waited >= q.busyLimit {
			return heldLock(q.busyLimit, q.suspects(), err)
		}
		step = min(max(2*step, time.Millisecond), 25*time.Millisecond)
		timer := time.NewTimer(step)
		select {
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("waiting for the journal's write lock: %w", ctx.Err())
		case <-timer.C:
		}
		waited += step
	}
}

// heldLock is the error of a wait for SQLite's write lock.
func heldLock(d time.Duration, suspects string, err error) error {
	return fmt.Errorf("another process has held the journal's write lock for %v: %s; a program such as a sqlite3 shell has to end its transaction: %w", d, suspects, err)
}

// commitFailed says what a COMMIT that failed means. Whether the rows are durable
// cannot be known: an fsync that failed once may not be tried again and believed,
// so after an I/O error nothing more is written until the journal is reopened.
func (q *committer) commitFailed(err error) error {
	q.rollBack() // where that fails too, q.broken says so
	var s sqlite3.Error
	if errors.As(err, &s) && s.Code != sqlite3.ErrBusy && s.Code != sqlite3.ErrFull {
		q.fail(err)
	}
	return &commitError{err}
}

func (q *committer) fail(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.broken = fmt.Errorf("the journal failed while committing (%w) and takes nothing more: close the client, mend the disk, and open it again", plain(err))
}
