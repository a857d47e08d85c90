//go:build cgo

package sqlite_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"

	"github.com/idem-go/idem/internal/sqlite"
	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// The journal among others: who waits for whom, how long, and what many callers
// and many processes get.

// HoldWriteLock is a program that is not ours: it takes the journal's write lock
// and keeps it until it is told to let go.
func (children) HoldWriteLock(l *testkit.Link) error {
	var path string
	if err := l.Args(&path); err != nil {
		return err
	}
	db, err := testkit.OpenRaw(path)
	if err != nil {
		return err
	}
	for {
		if _, err := db.Exec("BEGIN IMMEDIATE"); err != nil {
			return err
		}
		l.Say("held")
		l.Hear()
		if _, err := db.Exec("ROLLBACK"); err != nil {
			return err
		}
		l.Say("free")
		l.Hear()
	}
}

// holdWriteLock starts a foreign writer; the lock is held when it returns.
func holdWriteLock(t testing.TB, path string) (release func()) {
	t.Helper()
	p := testkit.StartChild(t, "HoldWriteLock", path)
	p.Expect("held")
	return func() {
		t.Helper()
		p.Tell("let go")
		p.Expect("free")
	}
}

// queued waits until so many writes wait behind the one that leads.
func queued(t testing.TB, s *sqlite.Store, n int) {
	t.Helper()
	require.Eventually(t, func() bool { return s.QueuedWrites() >= n }, time.Minute, time.Millisecond)
}

// A foreign writer that holds the lock is waited for as long as the caller likes:
// then a clear error, nothing sent, and the client goes on when the lock is free.
func TestForeignWriter(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	c, s := openStore(t, w.Path, idem.WithPolicy("*", clientkit.Stripe()))
	op := func(id string) idem.Operation { return idem.Operation{Name: "charge", ID: id} }
	_, err := c.Do(w.Invoice(500), op("before"))
	require.NoError(t, err)

	release := holdWriteLock(t, w.Path)
	for _, kind := range []error{context.DeadlineExceeded, context.Canceled} {
		ctx, cancel := context.WithCancel(context.Background())
		if kind == context.DeadlineExceeded {
			ctx, cancel = context.WithTimeout(context.Background(), 20*time.Millisecond)
		}
		ended := make(chan error, 1)
		req := w.Invoice(500).WithContext(ctx)
		go func() {
			_, err := c.Do(req, op("blocked"))
			ended <- err
		}()
		if kind == context.Canceled {
			queued(t, s, 1)
			cancel()
		}
		err := <-ended
		cancel()
		require.ErrorIs(t, err, kind)
		require.NotErrorIs(t, err, idem.ErrInDoubt)
		require.NotErrorIs(t, err, idem.ErrMaybeRecorded, "it was never being written")
		require.ErrorContains(t, err, "charge blocked")
		require.ErrorContains(t, err, "nothing was sent")
		if kind == context.Canceled { // a deadline may pass before
			require.ErrorContains(t, err, "waiting for the journal's write lock")
		}
	}
	require.Len(t, w.Server.Arrivals(), 1, "nothing was sent")
	resp, err := c.Do(w.Invoice(500), op("before"))
	require.NoError(t, err, "what is recorded can be read")
	require.Equal(t, 200, resp.StatusCode)

	release()
	_, err = c.Do(w.Invoice(500), op("blocked"))
	require.NoError(t, err)
	require.Len(t, w.Server.Effects(), 2)
}

// One caller whose time is up while it leads the others' writes takes none of them
// with it: theirs are written when the lock is free.
func TestLeaderThatGivesUp(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	c, s := openStore(t, w.Path, idem.WithPolicy("*", clientkit.Stripe()))
	_, err := c.Do(w.Invoice(500), idem.Operation{Name: "charge", ID: "before"})
	require.NoError(t, err)

	release := holdWriteLock(t, w.Path)
	ctx, cancel := context.WithCancel(context.Background())
	type end struct {
		id  string
		err error
	}
	ends := make(chan end, 9)
	begin := func(ctx context.Context, id string) {
		_, err := c.Begin(ctx, idem.Operation{Name: "charge", ID: id}, testkit.NewInvoice(t, w.Server.URL(), 500))
		ends <- end{id, err}
	}
	go begin(ctx, "leader")
	queued(t, s, 1)
	for i := range 4 {
		go begin(context.Background(), fmt.Sprintf("patient %d", i))
		go begin(ctx, fmt.Sprintf("hasty %d", i))
	}
	queued(t, s, 9)
	cancel()
	for range 5 {
		e := <-ends
		require.ErrorIs(t, e.err, context.Canceled, "%s", e.id)
		require.ErrorContains(t, e.err, "nothing was sent")
	}
	release()
	for range 4 {
		e := <-ends
		require.NoError(t, e.err, "%s", e.id)
		require.Contains(t, e.id, "patient")
	}
	n := 0
	for in, err := range c.Intents(testkit.Context(t), idem.Filter{}) {
		require.NoError(t, err)
		require.NotRegexp(t, "leader|hasty", in.Operation().ID)
		n++
	}
	require.Equal(t, 5, n)
}

// The very first write of an opener takes its place among the owners. Whoever waits
// behind it waits as long as it likes, too.
func TestFirstWriteBehindAForeignWriter(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	c, s := openStore(t, w.Path, idem.WithPolicy("*", clientkit.Stripe()))
	release := holdWriteLock(t, w.Path)
	patient := make(chan error, 1)
	req := w.Invoice(500)
	go func() {
		_, err := c.Do(req, idem.Operation{Name: "charge", ID: "patient"})
		patient <- err
	}()
	queued(t, s, 1)
	ctx, cancel := context.WithCancel(context.Background())
	hasty := clientkit.Watch(ctx, 1)
	ended := make(chan error, 1)
	other := w.Invoice(500).WithContext(hasty)
	go func() {
		_, err := c.Do(other, idem.Operation{Name: "charge", ID: "hasty"})
		ended <- err
	}()
	hasty.Waiting(t)
	cancel()
	err := <-ended
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "nothing was sent")
	release()
	require.NoError(t, <-patient)
	require.Len(t, w.Server.Effects(), 1)
}

// commits counts the transactions in a WAL: its frames that end one.
func commits(t testing.TB, path string) int {
	t.Helper()
	wal, err := os.ReadFile(path + "-wal")
	require.NoError(t, err)
	const header, frameHeader = 32, 24
	require.Greater(t, len(wal), header)
	page := int(binary.BigEndian.Uint32(wal[8:]))
	salt := wal[16:24]
	n := 0
	for at := header; at+frameHeader+page <= len(wal); at += frameHeader + page {
		if frame := wal[at : at+frameHeader]; bytes.Equal(frame[8:16], salt) && binary.BigEndian.Uint32(frame[4:]) != 0 {
			n++
		}
	}
	return n
}

// Concurrent writers share a transaction and its fsync; each is durable when its
// call returns.
func TestGroupCommit(t *testing.T) {
	t.Parallel()
	const callers = 64
	w := clientkit.NewWorld(t)
	c, s := openStore(t, w.Path, idem.WithPolicy("*", clientkit.Stripe()))
	_, err := c.Begin(testkit.Context(t), idem.Operation{Name: "charge", ID: "first"}, w.Invoice(500)) // takes the owner's slot
	require.NoError(t, err)
	before := commits(t, w.Path)

	release := holdWriteLock(t, w.Path)
	var wg sync.WaitGroup
	keys := make([]string, callers)
	for i := range callers {
		wg.Go(func() {
			in, err := c.Begin(testkit.Context(t), idem.Operation{Name: "charge", ID: fmt.Sprint(i)}, testkit.NewInvoice(t, w.Server.URL(), 500))
			if err != nil {
				t.Errorf("caller %d: %v", i, err)
				return
			}
			keys[i] = in.Key()
		})
	}
	queued(t, s, callers)
	release()
	wg.Wait()
	require.LessOrEqual(t, commits(t, w.Path)-before, 3, "%d callers shared their transactions", callers)
	other := testkit.NewWitness(t, w.Path)
	for i, key := range keys {
		require.NotNil(t, other.Read(key), "caller %d", i)
	}
}

// crowdArgs is what a crowd of callers in a process of its own works on.
type crowdArgs struct {
	Path, Server        string
	Callers, Identities int
}

// Crowd has many callers ask for the same few things at once, and says what each
// identity came to.
func (children) Crowd(l *testkit.Link) error {
	var args crowdArgs
	if err := l.Args(&args); err != nil {
		return err
	}
	c, err := idem.Open(args.Path, idem.WithPolicy("*", clientkit.Stripe()))
	if err != nil {
		return err
	}
	l.Say("ready")
	l.Hear()
	var mu sync.Mutex
	var wg sync.WaitGroup
	answers := map[string][]string{}
	for caller := range args.Callers {
		wg.Go(func() {
			for i := range args.Identities {
				id := fmt.Sprint((caller + i) % args.Identities)
				text := ""
				req, err := testkit.InvoiceRequest(args.Server, 500)
				if err == nil {
					text = clientkit.Outcome(c.Do(req, idem.Operation{Name: "charge", ID: id}))
				}
				mu.Lock()
				answers[id] = append(answers[id], text)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	text, err := json.Marshal(answers)
	if err != nil {
		return err
	}
	l.Say("%s", text)
	return c.Close()
}

// Several processes, many callers each, on the same identities: one effect for each
// identity, and everybody gets the same outcome.
func TestCrowdsInSeveralProcesses(t *testing.T) {
	t.Parallel()
	const crowds, callers, identities = 3, 20, 6
	w := clientkit.NewWorld(t)
	var processes []*testkit.Process
	for range crowds {
		p := testkit.StartChild(t, "Crowd", crowdArgs{Path: w.Path, Server: w.Server.URL(), Callers: callers, Identities: identities})
		p.Expect("ready")
		processes = append(processes, p)
	}
	for _, p := range processes {
		p.Tell("go")
	}
	outcomes := map[string]string{}
	for _, p := range processes {
		var answers map[string][]string
		require.NoError(t, json.Unmarshal([]byte(p.Hear()), &answers))
		require.Len(t, answers, identities)
		for id, texts := range answers {
			require.Len(t, texts, callers)
			for _, text := range texts {
				if outcomes[id] == "" {
					outcomes[id] = text
				}
				require.True(t, strings.HasPrefix(text, "200 "), text)
				require.Equal(t, outcomes[id], text, "identity %s", id)
			}
		}
		p.Wait()
	}
	require.Len(t, w.Server.Effects(), identities)
	require.Len(t, w.Server.Arrivals(), identities, "each was sent once")
}

// An opener that only reads takes no place among the owners and writes nothing.
func TestReadingWritesNothing(t *testing.T) {
	t.Parallel()
	w := clientkit.NewWorld(t)
	writer := w.Open(idem.WithPolicy("*", clientkit.Stripe()))
	_, err := writer.Do(w.Invoice(500), idem.Operation{Name: "charge", ID: "1"})
	require.NoError(t, err)
	require.NoError(t, writer.Close())

	reader := w.Open(idem.WithPolicy("*", clientkit.Stripe()))
	size := func() int64 {
		info, err := os.Stat(w.Path + "-wal")
		require.NoError(t, err)
		return info.Size()
	}
	before := size()
	for in, err := range reader.Intents(testkit.Context(t), idem.Filter{}) {
		require.NoError(t, err)
		_, err = reader.Lookup(testkit.Context(t), in.Key())
		require.NoError(t, err)
	}
	_, err = reader.Stats(testkit.Context(t))
	require.NoError(t, err)
	_, err = reader.Recover(testkit.Context(t))
	require.NoError(t, err)
	require.Equal(t, before, size())
	require.NoError(t, reader.Close())
	db, err := testkit.OpenRaw(w.Path)
	require.NoError(t, err)
	var owners, epochs int
	require.NoError(t, db.QueryRow("SELECT count(*), max(epoch) FROM owners").Scan(&owners, &epochs))
	require.NoError(t, db.Close())
	require.Equal(t, []int{1, 1}, []int{owners, epochs}, "one owner, who wrote")
}
