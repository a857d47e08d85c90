package testkit

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// SQLiteFile makes a SQLite database of another program.
func SQLiteFile(t testing.TB, path string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+(&url.URL{Path: path}).EscapedPath()+"?mode=rwc")
	require.NoError(t, err)
	for _, s := range statements {
		_, err = db.Exec(s)
		require.NoError(t, err)
	}
	require.NoError(t, db.Close())
}

// JSON and Form are content types.
const (
	JSON = "application/json"
	Form = "application/x-www-form-urlencoded"
)

// Secret is what the server's callers prove themselves with. It must never be
// found in a journal.
const Secret = "sk_test_idem"

// Context ends with the test, or in a minute: nothing here takes so long unless it
// hangs.
func Context(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// NewPath is the path of a journal that is not there yet.
func NewPath(t testing.TB) string { return filepath.Join(t.TempDir(), "agent.db") }

func NewInvoice(t testing.TB, server string, cents int) *http.Request {
	req, err := InvoiceRequest(server, cents)
	require.NoError(t, err)
	return req
}

func InvoiceRequest(server string, cents int) (*http.Request, error) {
	req, err := http.NewRequest(http.MethodPost, server+"/v1/invoices", strings.NewReader(fmt.Sprintf("amount=%d&currency=usd", cents)))
	if err == nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Accept", "application/json")
		req.Header.Set("Authorization", "Bearer "+Secret)
	}
	return req, err
}

// BodyOf reads a reply's body.
func BodyOf(t testing.TB, resp *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return string(body)
}
