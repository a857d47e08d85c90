//go:build linux && cgo

package pair

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/idem-go/idem"
)

// world is one client and one server, each with a journal, and the proxy between
// them.
type world struct {
	seed   uint64
	folder string
	broken string
	dice   *rand.Rand
	proxy  *proxy
	server *process
	client *process
	from   int // the first operation that no client has done

	serverKills int
	clientKills int
	operations  int
}

func newWorld(broken string, seed uint64, folder string) (*world, error) {
	db, err := openShop(folder)
	if err != nil {
		return nil, err
	}
	p, err := newProxy(rand.New(rand.NewPCG(seed, 2)))
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &world{
		seed: seed, folder: folder, broken: broken, dice: rand.New(rand.NewPCG(seed, 1)), proxy: p,
	}, db.Close()
}

// run makes the rounds, and then lets both processes live, with a network without
// faults, until nothing is open.
func (w *world) run(ctx context.Context, rounds int) error {
	if err := w.startServer(ctx); err != nil {
		return err
	}
	if err := w.startClient(ctx); err != nil {
		return err
	}
	for range rounds {
		if err := w.round(ctx); err != nil {
			return err
		}
	}
	if err := w.stopClient(); err != nil {
		return err
	}
	w.proxy.behave()
	last, err := start(job{Part: clientPart, Folder: w.folder, URL: w.proxy.url, Finish: true})
	if err != nil {
		return err
	}
	w.client = last
	if _, err := last.await(ctx, "finished"); err != nil {
		return err
	}
	return errors.Join(last.finish(), w.server.finish())
}

// close kills what is left of the world.
func (w *world) close() {
	for _, p := range []*process{w.client, w.server} {
		if p != nil {
			p.kill()
		}
	}
	w.proxy.close()
}

func (w *world) startServer(ctx context.Context) (err error) {
	if w.server, err = start(job{Part: serverPart, Folder: w.folder, Break: w.broken}); err != nil {
		return err
	}
	url, err := w.server.await(ctx, "url ")
	w.proxy.point(url)
	return err
}

func (w *world) startClient(ctx context.Context) (err error) {
	if w.client, err = start(job{Part: clientPart, Folder: w.folder, URL: w.proxy.url, From: w.from}); err != nil {
		return err
	}
	_, err = w.client.await(ctx, "ready")
	return err
}

// round lets a few operations end, and kills one process in the midst of the next.
func (w *world) round(ctx context.Context) error {
	for range w.dice.IntN(6) {
		n, err := w.client.await(ctx, "did ")
		if err != nil {
			return err
		}
		w.note(n)
	}
	timer := time.NewTimer(time.Duration(w.dice.IntN(4000)) * time.Microsecond)
	<-timer.C
	if w.dice.IntN(2) == 0 {
		w.serverKills++
		w.proxy.point("")
		if _, err := w.server.kill(); err != nil {
			return err
		}
		return w.startServer(ctx)
	}
	w.clientKills++
	if err := w.stopClient(); err != nil {
		return err
	}
	return w.startClient(ctx)
}

// note remembers that the client did an operation.
func (w *world) note(text string) {
	if n, err := strconv.Atoi(text); err == nil {
		w.from = max(w.from, n+1)
	}
}

// stopClient kills the client. It fails when the client printed an error.
func (w *world) stopClient() error {
	left, err := w.client.kill()
	if err != nil {
		return err
	}
	for _, line := range left {
		w.note(strings.TrimPrefix(line, "did "))
	}
	if w.client.errors.Len() > 0 {
		return fmt.Errorf("the client printed: %s", w.client.errors.String())
	}
	return nil
}

// check compares the charges with what the client recorded of its operations, and
// returns each difference: an operation without its effect or with a second one, an
// effect that the client does not know, and an outcome that is not the server's.
func (w *world) check(ctx context.Context) (found []string, err error) {
	charges, err := w.charges()
	if err != nil {
		return nil, err
	}
	for key, n := range charges {
		if n != 1 {
			found = append(found, fmt.Sprintf("%d effects of the key %s", n, key))
		}
	}
	c, err := openAgent(w.folder)
	if err != nil {
		return nil, err
	}
	ids := map[string]bool{}
	for in, err := range c.Intents(ctx, idem.Filter{}) {
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		id := in.Operation().ID
		if in.State() != idem.Succeeded {
			found = append(found, fmt.Sprintf("%s is %v: %v", id, in.State(), in.History()))
		}
		if got := string(in.Outcome()); got != reply(in.Key()) {
			found = append(found, fmt.Sprintf("%s has the outcome %q instead of the server's reply", id, got))
		}
		if charges[in.Key()] == 0 {
			found = append(found, fmt.Sprintf("%s has no effect", id))
		}
		delete(charges, in.Key())
		if ids[id] {
			found = append(found, fmt.Sprintf("%s has two intents", id))
		}
		ids[id] = true
		w.operations++
	}
	for key := range charges {
		found = append(found, fmt.Sprintf("the client does not know the key %s, which has an effect", key))
	}
	if w.operations == 0 {
		found = append(found, "the client recorded no operation")
	}
	return found, c.Close()
}

// charges counts the charges of each key.
func (w *world) charges() (map[string]int, error) {
	db, err := openShop(w.folder)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	rows, err := db.Query("SELECT key, count(*) FROM charges GROUP BY key")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	charges := map[string]int{}
	for rows.Next() {
		var key string
		var n int
		if err := rows.Scan(&key, &n); err != nil {
			return nil, err
		}
		charges[key] = n
	}
	return charges, rows.Err()
}
