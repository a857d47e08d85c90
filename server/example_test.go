package server_test

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/server"
)

// A tool server that charges once for each key of each account.
func ExampleNew() {
	folder, err := os.MkdirTemp("", "keys")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)

	store, err := server.Open(filepath.Join(folder, "keys.db"))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	once, err := server.New(store, server.Scope(accountOf))
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	charges := 0
	mux.Handle("POST /charges", once(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		charges++
		fmt.Fprintf(w, `{"charge":%d}`, charges)
	})))

	web := httptest.NewServer(mux)
	defer web.Close()
	ask(web.URL, "order-1", `{"cents":500}`)
	ask(web.URL, "order-1", `{"cents":500}`)
	ask(web.URL, "order-1", `{"cents":999}`)
	ask(web.URL, "", `{"cents":500}`)
	// Output:
	// 200 executed {"charge":1}
	// 200 replayed {"charge":1}
	// 409 mismatch idempotency_key_mismatch
	// 400 refused-before-execution idempotency_key_required
}

// accountOf is who the request comes from, as something before has verified.
func accountOf(*http.Request) string { return "acme" }

// ask sends one charge and prints what came.
func ask(url, key, body string) {
	req, err := http.NewRequest(http.MethodPost, url+"/charges", strings.NewReader(body))
	if err != nil {
		log.Fatal(err)
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	reply, err := io.ReadAll(resp.Body)
	if err != nil {
		log.Fatal(err)
	}
	said := string(reply)
	if _, code, ok := strings.Cut(said, `"code":"`); ok {
		said, _, _ = strings.Cut(code, `"`)
	}
	fmt.Println(strings.TrimSpace(fmt.Sprint(resp.StatusCode, " ", resp.Header.Get("Idem-Status"), " ", said)))
}

// A handler whose data is in a database commits its effect and its reply together.
func ExampleSameTransaction() {
	folder, err := os.MkdirTemp("", "shop")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)

	db, err := sql.Open("sqlite3", filepath.Join(folder, "shop.db")+"?_journal_mode=WAL&_synchronous=FULL&_busy_timeout=10000")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("CREATE TABLE charges (id INTEGER PRIMARY KEY, cents INTEGER)"); err != nil {
		log.Fatal(err)
	}
	store, err := server.SameTransaction(db, server.SQLite)
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	once, err := server.New(store, server.Scope(accountOf))
	if err != nil {
		log.Fatal(err)
	}
	charge := func(w http.ResponseWriter, r *http.Request) {
		tx := server.Tx(r.Context()) // committed with the reply, or not at all
		result, err := tx.ExecContext(r.Context(), "INSERT INTO charges (cents) VALUES (500)")
		if err != nil {
			server.Forget(r.Context()) // rolled back: the key is free
			http.Error(w, "try again", http.StatusServiceUnavailable)
			return
		}
		id, err := result.LastInsertId()
		if err != nil {
			panic(err) // rolled back as well
		}
		fmt.Fprintf(w, `{"charge":%d}`, id)
	}
	web := httptest.NewServer(once(http.HandlerFunc(charge)))
	defer web.Close()
	ask(web.URL, "order-1", "")
	ask(web.URL, "order-1", "")
	// Output:
	// 200 executed {"charge":1}
	// 200 replayed {"charge":1}
}

// A validation error did nothing, so it does not use the key up.
func ExampleForget() {
	folder, err := os.MkdirTemp("", "keys")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	store, err := server.Open(filepath.Join(folder, "keys.db"))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	once, err := server.New(store, server.SingleTenant())
	if err != nil {
		log.Fatal(err)
	}
	web := httptest.NewServer(once(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if body, _ := io.ReadAll(r.Body); string(body) != `{"cents":500}` {
			server.Forget(r.Context())
			w.WriteHeader(http.StatusUnprocessableEntity)
			fmt.Fprint(w, "cents are missing")
			return
		}
		fmt.Fprint(w, "charged")
	})))
	defer web.Close()
	ask(web.URL, "order-1", `{}`)
	ask(web.URL, "order-1", `{"cents":500}`)
	// Output:
	// 422 refused-before-execution cents are missing
	// 200 executed charged
}

// A handler died half-way. A person looks it up, and says what became of it.
func ExampleStore_Resolve() {
	folder, err := os.MkdirTemp("", "keys")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	store, err := server.Open(filepath.Join(folder, "keys.db"))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	once, err := server.New(store, server.SingleTenant())
	if err != nil {
		log.Fatal(err)
	}
	handler := once(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		panic("half-way")
	}))
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if recover() != nil { // whoever catches panics goes before the middleware
				w.WriteHeader(http.StatusInternalServerError)
			}
		}()
		handler.ServeHTTP(w, r)
	}))
	defer web.Close()
	ask(web.URL, "order-1", "")
	ask(web.URL, "order-1", "")

	ctx := context.Background()
	for u, err := range store.Uncertain(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(u.Request, u.Key, u.Why)
		err = store.Resolve(ctx, u.Identity, idem.Resolution{
			State: idem.Succeeded, Result: []byte(`{"charge":1}`), Note: "ann found it in the ledger",
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	ask(web.URL, "order-1", "")
	// Output:
	// 500 uncertain
	// 409 uncertain operation_uncertain
	// POST /charges order-1 the handler panicked
	// 200 replayed {"charge":1}
}
