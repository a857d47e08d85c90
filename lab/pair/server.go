//go:build linux && cgo

package pair

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/server"
	_ "github.com/mattn/go-sqlite3"
)

// The ways in which the server is broken, for the negative controls.
const (
	noMiddleware = "a server without the middleware"
	runsAgain    = "an uncertain key is run again"
	otherReply   = "an uncertain key is resolved with another reply"
)

// inOne and inTwo are the paths of the two handlers: with the effect in the
// transaction of its reply, and with the effect in a commit of its own.
const (
	inOne = "/one"
	inTwo = "/two"
)

// openShop opens the database of the charges.
func openShop(folder string) (*sql.DB, error) {
	db, err := sql.Open("sqlite3", filepath.Join(folder, "shop.db")+"?_journal_mode=WAL&_synchronous=FULL&_busy_timeout=20000")
	if err != nil {
		return nil, err
	}
	_, err = db.Exec("CREATE TABLE IF NOT EXISTS charges (id INTEGER PRIMARY KEY, key TEXT NOT NULL, body TEXT NOT NULL)")
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// serve serves charges in two ways: inOne and inTwo. At its start it settles the keys
// that are uncertain in the second, as a person does, by reading the charges.
func (j job) serve() error {
	db, err := openShop(j.Folder)
	if err != nil {
		return err
	}
	one, err := server.SameTransaction(db, server.SQLite)
	if err != nil {
		return err
	}
	two, err := server.Open(filepath.Join(j.Folder, "keys.db"))
	if err != nil {
		return err
	}
	var again []server.Option
	if j.Break == runsAgain {
		again = append(again, server.RunAgain())
	} else if err := j.settle(two, db); err != nil {
		return err
	}
	mux := http.NewServeMux()
	for path, s := range map[string]*server.Store{inOne: one, inTwo: two} {
		once, err := server.New(s, append(again, server.SingleTenant())...)
		if err != nil {
			return err
		}
		if j.Break == noMiddleware {
			once = func(next http.Handler) http.Handler { return next }
		}
		mux.Handle(path, once(charge(db)))
	}
	return errors.Join(listen(mux), one.Close(), two.Close(), db.Close())
}

// settle resolves each uncertain key: it succeeded if its charge is there.
func (j job) settle(s *server.Store, db *sql.DB) error {
	ctx := context.Background()
	for u, err := range s.Uncertain(ctx) {
		if err != nil {
			return err
		}
		var n int
		if err := db.QueryRow("SELECT count(*) FROM charges WHERE key = ?", u.Key).Scan(&n); err != nil {
			return err
		}
		found := idem.Resolution{State: idem.Failed, Note: "no such charge"}
		if n > 0 {
			found = idem.Resolution{State: idem.Succeeded, Result: []byte(reply(u.Key)), Note: "found the charge"}
			if j.Break == otherReply {
				found.Result = []byte("{}")
			}
		}
		if err := s.Resolve(ctx, u.Identity, found); err != nil {
			return err
		}
	}
	return nil
}

// reply is the body of the reply to a charge.
func reply(key string) string { return fmt.Sprintf(`{"charged":%q}`, key) }

// charge returns a handler whose effect is a row: in the middleware's transaction
// where there is one, and else in a commit of its own.
func charge(db *sql.DB) http.Handler {
	const insert = "INSERT INTO charges (key, body) VALUES (?, ?)"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key := strings.Trim(r.Header.Get(server.KeyHeader), `"`)
		if id, ok := server.FromContext(r.Context()); ok {
			key = id.Key
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(err)
		}
		if tx := server.Tx(r.Context()); tx != nil {
			_, err = tx.ExecContext(r.Context(), insert, key, string(body))
		} else {
			_, err = db.ExecContext(r.Context(), insert, key, string(body))
		}
		if err != nil {
			panic(err)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		io.WriteString(w, reply(key))
	})
}

// listen serves h until the parent is gone or closes this process's standard input.
func listen(h http.Handler) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	web := &http.Server{Handler: h}
	done := make(chan error, 1)
	go func() { done <- web.Serve(l) }()
	fmt.Println("url http://" + l.Addr().String())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	go func() { io.Copy(io.Discard, os.Stdin); stop() }()
	<-ctx.Done()
	if err := web.Shutdown(context.Background()); err != nil {
		return err
	}
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
