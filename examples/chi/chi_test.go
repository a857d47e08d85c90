package chi_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/idem-go/idem/server"
)

// The middleware in a chi router: behind what verifies the caller, and with keys
// that belong to a route.
func Example() {
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
	once, err := server.New(store, server.Scope(accountOf), server.PerRoute(routeOf))
	if err != nil {
		log.Fatal(err)
	}

	r := chi.NewRouter()
	r.Use(middleware.Recoverer)
	r.With(once).Post("/accounts/{account}/charges", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "charged %s", chi.URLParam(r, "account"))
	})
	r.With(once).Post("/accounts/{account}/refunds", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "refunded %s", chi.URLParam(r, "account"))
	})

	web := httptest.NewServer(r)
	defer web.Close()
	ask(web.URL + "/accounts/acme/charges")
	ask(web.URL + "/accounts/acme/charges")
	ask(web.URL + "/accounts/acme/refunds")
	// Output:
	// executed charged acme
	// replayed charged acme
	// executed refunded acme
}

// accountOf is the verified caller; here every caller is acme.
func accountOf(*http.Request) string { return "acme" }

// routeOf names a route by chi's pattern, of which there are few.
func routeOf(r *http.Request) string { return chi.RouteContext(r.Context()).RoutePattern() }

func ask(url string) {
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(`{"cents":500}`))
	if err != nil {
		log.Fatal(err)
	}
	req.Header.Set("Idempotency-Key", "order-1")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(resp.Header.Get("Idem-Status"), string(body))
}
