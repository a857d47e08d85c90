//go:build cgo

package sqlite_test

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"

	"github.com/idem-go/idem/internal/sqlite"
	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// Where an intent is found: its place is in memory at first, and goes to a table of
// the journal later, with many others.

// enough is how many intents more it takes until what was begun before is in the table.
const enough = 256

// placing is a client whose far side refuses what goes to /refuse, and counts.
type placing struct {
	*idem.Client
	store *sqlite.Store
	t     *testing.T
	taken string // what the operation thief takes for its key
	sent  atomic.Int64
}

func newPlacing(t *testing.T, path string, more ...idem.Option) *placing {
	t.Helper()
	p := &placing{t: t}
	p.Client, p.store = openStore(t, path, append(more,
		idem.WithPolicy("*", idem.Policy{Contract: idem.Stripe()}),
		idem.WithPolicy("own", idem.Policy{Contract: idem.Contract{NewKey: func() string { return "own-key" }}}),
		idem.WithPolicy("new", idem.Policy{Contract: idem.Contract{NewKey: uuid.NewString}}),
		idem.WithPolicy("thief", idem.Policy{Contract: idem.Contract{NewKey: func() string { return p.taken }}}),
		idem.WithTransport(clientkit.RoundTrip(func(req *http.Request) (*http.Response, error) {
			p.sent.Add(1)
			resp, err := clientkit.Instant{Body: `{}`}.RoundTrip(req)
			if req.URL.Path == "/refuse/v1/invoices" {
				resp.StatusCode = http.StatusPaymentRequired
			}
			return resp, err
		})))...)
	return p
}

func (p *placing) ask(op idem.Operation, path string) (*idem.Intent, error) {
	in, err := p.Begin(testkit.Context(p.t), op, testkit.NewInvoice(p.t, "http://api.invalid"+path, 5))
	if err == nil {
		_, err = in.Do(testkit.Context(p.t))
	}
	return in, err
}

// fill does n other things, by many callers.
func (p *placing) fill(from, n int) {
	p.t.Helper()
	const callers = 32
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			for i := from + caller; i < from+n; i += callers {
				if _, err := p.ask(idem.Operation{Name: "fill", ID: fmt.Sprint(i)}, ""); err != nil {
					p.t.Errorf("%d: %v", i, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// placedUpTo is up to which intent all are in the table, and up to which they are
// being put there. No client may have the journal open in this process.
func placedUpTo(t testing.TB, path string) (all, some int64) {
	t.Helper()
	db, err := testkit.OpenRaw(path)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	var text string
	require.NoError(t, db.QueryRow("SELECT value FROM vals WHERE name = 'placed'").Scan(&text))
	_, err = fmt.Sscan(text, &all, &some)
	require.NoError(t, err)
	return all, some
}

// An identity and a key are one intent's wherever its place stands: begun again they
// are what they were, by the same opener and after a restart, while the place is in
// memory and once it is in the table.
func TestAnIntentIsFoundWhereverItsPlaceStands(t *testing.T) {
	t.Parallel()
	for name, more := range map[string]int{"in memory": 0, "in the table": enough} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := testkit.NewPath(t)
			p := newPlacing(t, path)
			known := map[idem.Operation]string{} // their keys
			for _, op := range []idem.Operation{
				{Name: "charge", Scope: "run-1", ID: "order-1"}, {Name: "charge", ID: "order-1"},
				{Name: "charge", ID: "order-1", Repeat: 1}, {Name: "charge"}, {Name: "own", ID: "order-1"}, {Name: "new", ID: "order-1"},
			} {
				in, err := p.ask(op, "")
				require.NoError(t, err)
				known[op] = in.Key()
			}
			mended := idem.Operation{Name: "charge", ID: "order-2"}
			for _, path := range []string{"/refuse", "/again"} {
				in, err := p.ask(mended, path)
				require.NoError(t, err)
				known[mended] = in.Key()
			}
			p.fill(0, more)

			asked := func(round int) {
				t.Helper()
				p.taken = uuid.NewString()
				for _, name := range []string{"charge", "new", "thief"} { // what is begun makes their terms known: then Begin goes the short way
					_, err := p.ask(idem.Operation{Name: name, ID: fmt.Sprint("round ", round)}, "")
					require.NoError(t, err)
				}
				before := p.sent.Load()
				for op, key := range known {
					in, err := p.Lookup(testkit.Context(t), key)
					require.NoError(t, err)
					require.Equal(t, op, in.Operation())
					p.taken = key
					for _, id := range []string{"new", "order-1", ""} {
						_, err = p.ask(idem.Operation{Name: "thief", ID: id}, "")
						require.ErrorContains(t, err, "another intent's already", "the key of %s", op)
					}
					if op.ID == "" {
						continue
					}
					path := map[bool]string{true: "/again"}[op == mended]
					in, err = p.ask(op, path)
					require.NoError(t, err)
					require.Equal(t, key, in.Key())
					require.True(t, in.Replayed())
					_, err = p.ask(op, "/another")
					require.ErrorIs(t, err, idem.ErrMismatch, "%s", op)
				}
				require.Equal(t, before, p.sent.Load(), "what is known is not sent again")
				links := 0
				for _, err := range p.Intents(testkit.Context(t), idem.Filter{Operation: "charge", Scope: "run-1", ID: "order-1"}) {
					require.NoError(t, err)
					links++
				}
				require.Equal(t, 1, links)
				charges := 0
				for in, err := range p.Intents(testkit.Context(t), idem.Filter{Operation: "charge"}) {
					require.NoError(t, err)
					require.Equal(t, "charge", in.Operation().Name)
					charges++
				}
				require.Equal(t, 6+round, charges)
			}
			asked(1)
			require.NoError(t, p.Close())
			all, _ := placedUpTo(t, path)
			require.Equal(t, more > 0, all >= int64(len(known)), "up to %d", all)
			p = newPlacing(t, path)
			asked(2)
		})
	}
}

// Places that are on their way to the table are found by whoever comes next, and
// stay found when it goes on with them.
func TestPlacesOnTheirWayAreFound(t *testing.T) {
	t.Parallel()
	path, n := testkit.NewPath(t), 1200
	p := newPlacing(t, path)
	p.fill(0, n)
	require.Less(t, p.store.IndexedInMemory(), n/2, "most are in the table alone")
	halfWay, began := false, int64(0)
	for range 9 { // a few rounds of a few, until one ends between two steps
		require.NoError(t, p.Close())
		all, some := placedUpTo(t, path)
		halfWay = halfWay || some > all
		if began == 0 {
			began = all
		}
		p = newPlacing(t, path)
		p.fill(n-500, 500)
		require.Zero(t, p.sent.Load(), "all of them are known")
		p.fill(n, 32)
		n += 32
	}
	require.True(t, halfWay, "no round ended half-way")
	require.NoError(t, p.Close())
	all, _ := placedUpTo(t, path)
	require.Greater(t, all, began+100, "they arrive")
}

// Several processes begin the same things at once, while places go from their
// memories to the table: each is done once.
func TestProcessesShareTheTableOfPlaces(t *testing.T) {
	t.Parallel()
	const identities = 400
	w := clientkit.NewWorld(t)
	args := crowdArgs{Path: w.Path, Server: w.Server.URL(), Callers: 8, Identities: identities}
	var crowds []*testkit.Process
	for range 3 {
		p := testkit.StartChild(t, "Crowd", args)
		p.Expect("ready")
		crowds = append(crowds, p)
	}
	for _, p := range crowds {
		p.Tell("go")
	}
	for _, p := range crowds {
		p.Hear()
		p.Wait()
	}
	require.Len(t, w.Server.Arrivals(), identities, "each was sent once")
	all, _ := placedUpTo(t, w.Path)
	require.Greater(t, all, int64(identities/2))
}

// A process that only reads does not remember for good what others write.
func TestAReaderRemembersFewPlaces(t *testing.T) {
	t.Parallel()
	path := testkit.NewPath(t)
	p := newPlacing(t, path)
	p.fill(0, 10)
	reader := testkit.StartChild(t, "Reading", path)
	reader.Expect("10 intents")
	for n := 10; n < 2000; n += 199 {
		p.fill(n, 199)
		reader.Tell("again")
		reader.Expect(fmt.Sprint(n+199, " intents"))
	}
	reader.Tell("enough")
	kept, err := strconv.Atoi(reader.Hear())
	require.NoError(t, err)
	require.Less(t, kept, 1000, "of 2000")
	reader.Wait()
}

// A process that did nothing while another began much finds it all, whether it is in
// the table by now or not, and begins none of it a second time.
func TestAProcessThatSleptFindsWhatOthersBegan(t *testing.T) {
	t.Parallel()
	path, n := testkit.NewPath(t), 3000
	p := newPlacing(t, path)
	p.fill(0, 10)
	reader := testkit.StartChild(t, "Reading", path)
	reader.Expect("10 intents")
	sleeper := testkit.StartChild(t, "Asking", path)
	sleeper.Expect("awake")
	p.fill(10, n-10)
	reader.Tell("again")
	reader.Expect(fmt.Sprint(n+1, " intents"))
	reader.Tell("enough")
	kept, err := strconv.Atoi(reader.Hear())
	require.NoError(t, err)
	require.Less(t, kept, n/2)
	reader.Wait()
	sleeper.Tell(fmt.Sprint(n))
	sleeper.Expect("sent 0")
	sleeper.Wait()
}

// Asking is a child that begins one thing, sleeps, and begins again so many of those
// that placing.fill has begun.
func (children) Asking(l *testkit.Link) error {
	var path string
	if err := l.Args(&path); err != nil {
		return err
	}
	sent := 0
	c, err := idem.Open(path, idem.WithPolicy("*", idem.Policy{Contract: idem.Stripe()}),
		idem.WithTransport(clientkit.RoundTrip(func(req *http.Request) (*http.Response, error) {
			sent++
			return clientkit.Instant{Body: `{}`}.RoundTrip(req)
		})))
	if err != nil {
		return err
	}
	ask := func(id string) error {
		req, err := testkit.InvoiceRequest("http://api.invalid", 5)
		if err == nil {
			_, err = c.Do(req, idem.Operation{Name: "fill", ID: id})
		}
		return err
	}
	if err := ask("mine"); err != nil {
		return err
	}
	sent = 0
	l.Say("awake")
	n, err := strconv.Atoi(l.Hear())
	for i := n - 1; i >= 0 && err == nil; i-- { // those first that are not in the table
		err = ask(fmt.Sprint(i))
	}
	if err != nil {
		return err
	}
	l.Say("sent %d", sent)
	return c.Close()
}

// Reading is a child that looks up each intent by its key, whenever it is told to.
func (children) Reading(l *testkit.Link) error {
	var path string
	if err := l.Args(&path); err != nil {
		return err
	}
	store, err := sqlite.Open(path)
	if err != nil {
		return err
	}
	c, err := idem.New(store)
	if err != nil {
		return err
	}
	for {
		n := 0
		for in, err := range c.Intents(context.Background(), idem.Filter{}) {
			if err != nil {
				return err
			}
			if _, err = c.Lookup(context.Background(), in.Key()); err != nil {
				return err
			}
			n++
		}
		l.Say("%d intents", n)
		if l.Hear() == "enough" {
			l.Say("%d", store.IndexedInMemory())
			return c.Close()
		}
	}
}

// What is dropped leaves no place behind, in memory or in the table, and its ID is
// begun anew.
func TestADroppedIntentLeavesNoPlace(t *testing.T) {
	t.Parallel()
	path := testkit.NewPath(t)
	var clock clientkit.Wall
	p := newPlacing(t, path, idem.WithRetention(1, 24*time.Hour), idem.WithClock(clock.Now))
	// Places go to the table at each 32nd intent, so the last 16 are only in memory.
	const all = enough + 16
	p.fill(0, all)
	clock.Set(24 * time.Hour)
	dropped, err := p.Prune(testkit.Context(t))
	require.NoError(t, err)
	require.Greater(t, dropped, all, "each payload, and each identity but the last")
	left, again := map[string]bool{}, 0
	for in, err := range p.Intents(testkit.Context(t), idem.Filter{}) {
		require.NoError(t, err)
		left[in.Operation().ID] = true
	}
	require.Len(t, left, 1)
	before := p.sent.Load()
	for i := range all {
		if !left[fmt.Sprint(i)] {
			p.fill(i, 1)
			again++
		}
	}
	require.EqualValues(t, again, p.sent.Load()-before)
	require.NoError(t, p.Close())

	db, err := testkit.OpenRaw(path)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	var lost int
	require.NoError(t, db.QueryRow(`SELECT count(*) FROM places WHERE intent NOT IN (SELECT id FROM intents)`).Scan(&lost))
	require.Zero(t, lost, "places of no intent")
	require.NoError(t, db.QueryRow(`SELECT count(*) FROM kindred WHERE intent NOT IN (SELECT id FROM intents)`).Scan(&lost))
	require.Zero(t, lost, "kinds of no intent")
}

// A pruning that is undone, since its transaction failed, leaves every identity where
// it was, also for who began something in the same transaction.
func TestAPruningThatIsUndoneLosesNothing(t *testing.T) {
	t.Parallel()
	path := testkit.NewPath(t)
	p := newPlacing(t, path)
	p.fill(0, 5)
	require.NoError(t, p.Close())
	p = newPlacing(t, path)
	release, err := p.store.HoldTransaction()
	require.NoError(t, err)
	var wg sync.WaitGroup
	var errs [2]error
	wg.Go(func() { errs[0] = p.store.DropAll() })
	queued(t, p.store, 1)
	req := testkit.NewInvoice(t, "http://api.invalid", 5)
	wg.Go(func() { _, errs[1] = p.Do(req, idem.Operation{Name: "fill", ID: "new"}) })
	queued(t, p.store, 2)
	release()
	wg.Wait()
	require.ErrorContains(t, errs[0], "the disk is full")
	require.ErrorContains(t, errs[1], "the disk is full")
	p.fill(0, 5)
	require.Zero(t, p.sent.Load(), "all of them are known")
}

// A journal whose mark of how far the table goes is damaged begins nothing: what the
// mark leaves out would be begun a second time.
func TestADamagedMarkOfThePlacesIsToldLoudly(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "agent.db") // not checked in the end: it is damaged
	c, err := idem.Open(path, idem.WithTransport(clientkit.Instant{Body: `{}`}))
	require.NoError(t, err)
	_, err = c.Do(testkit.NewInvoice(t, "http://api.invalid", 5), idem.Operation{Name: "charge", ID: "1"})
	require.NoError(t, err)
	require.NoError(t, c.Close())
	db, err := testkit.OpenRaw(path)
	require.NoError(t, err)
	_, err = db.Exec(`UPDATE vals SET value = replace(CAST(value AS TEXT), '0 0 0 ', '1 0 0 ') WHERE name = 'placed'`)
	require.NoError(t, err)
	require.NoError(t, db.Close())

	c, err = idem.Open(path, idem.WithTransport(clientkit.Instant{Body: `{}`}))
	require.NoError(t, err)
	_, err = c.Do(testkit.NewInvoice(t, "http://api.invalid", 5), idem.Operation{Name: "charge", ID: "1"})
	require.ErrorContains(t, err, "damaged")
	require.ErrorContains(t, err, "nothing was sent")
	require.NoError(t, c.Close())
}
