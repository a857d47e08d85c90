package server_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"

	"github.com/idem-go/idem/server"
	"github.com/stretchr/testify/require"
)

// curl is a stranger that retries what curl takes for passing: one effect, and the
// reply is the first one.
func TestCurl(t *testing.T) {
	t.Parallel()
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Logf("THERE IS NO curl ON THIS MACHINE: the middleware was not tested with it (%v)", err)
		return
	}
	h := &counter{}
	p := newFaulty(t, serve(t, newStore(t), h.ServeHTTP))
	run := func(args ...string) string {
		var out, errs bytes.Buffer
		cmd := exec.CommandContext(testCtx(t), curl, append([]string{"--silent", "--show-error", "--include", "--noproxy", "*"}, args...)...)
		cmd.Stdout, cmd.Stderr = &out, &errs
		require.NoError(t, cmd.Run(), errs.String())
		return strings.ReplaceAll(out.String(), "\r\n", "\n")
	}
	charge := []string{"--header", `Idempotency-Key: "order-1"`, "--json", `{"cents":500}`, p.url + "/charges"}
	p.plan(dropAfter, badGatewayAfter, unavailable503)
	reply := run(append([]string{"--retry", "5", "--retry-all-errors", "--retry-delay", "0", "--retry-max-time", "50"}, charge...)...)
	require.EqualValues(t, 1, h.runs.Load())
	require.Contains(t, reply, "HTTP/1.1 201 Created\n")
	require.Contains(t, reply, "\nIdempotent-Replayed: true\n")
	require.Contains(t, reply, "\nIdem-Status: replayed\n")
	require.Contains(t, reply, `{"run":1,"got":"{\"cents\":500}"}`)

	reply = run("--request", "POST", "--data", "cents=1", p.url)
	require.Contains(t, reply, "HTTP/1.1 400 Bad Request\n")
	require.Contains(t, reply, `"code":"idempotency_key_required"`)
	reply = run("--header", "Idempotency-Key: order-1", "--json", `{"cents":501}`, p.url+"/charges")
	require.Contains(t, reply, "HTTP/1.1 409 Conflict\n")
	require.Contains(t, reply, "\nContent-Type: application/problem+json\n")
	require.Contains(t, reply, `"code":"idempotency_key_mismatch"`)
	require.EqualValues(t, 1, h.runs.Load())
}

// net/http sends a POST with a key again by itself when a connection that it kept
// dies: two deliveries, one effect.
func TestNetHTTPSendsAgainByItself(t *testing.T) {
	t.Parallel()
	h := &counter{}
	once := wrap(t, newStore(t), h)
	deliveries := 0
	var die bool
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		deliveries++
		if !die {
			once.ServeHTTP(w, r)
			return
		}
		die = false
		once.ServeHTTP(httptest.NewRecorder(), r) // executed, and the reply is lost
		hangUp(w, false)
	}))
	t.Cleanup(web.Close)
	c := web.Client()
	send := func(key string) string {
		req, err := http.NewRequestWithContext(testCtx(t), http.MethodPost, web.URL, strings.NewReader("{}"))
		require.NoError(t, err)
		req.Header.Set(server.KeyHeader, key)
		resp, err := c.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return string(body)
	}
	require.Contains(t, send("k-1"), `"run":1`)
	die = true
	require.Contains(t, send("k-2"), `"run":2`)
	require.Equal(t, 3, deliveries)
	require.EqualValues(t, 2, h.runs.Load())
}

// The requests that the best-known idempotency middleware of Go, gofiber's (v3.1.0,
// with its defaults but for the header's name), answers wrongly, and how they are
// answered here. What it does was seen by running it.
func TestWhatOthersAnswerWrongly(t *testing.T) {
	t.Parallel()
	const uuid = "8e03978e-40d5-43dd-bc93-6894a57f9324"
	type ask struct {
		method, path, user, key, body string
	}
	first := ask{http.MethodPost, "/charges", "ann", uuid, `{"cents":5}`}
	for name, row := range map[string]struct {
		ask    ask
		theirs string // what gofiber's does
		status int
		idem   string
		runs   int64 // of the handler, the first request's included
	}{
		"the same again":            {first, "the first reply, not marked as such", 201, server.StatusReplayed, 1},
		"another payload":           {ask{first.method, first.path, first.user, uuid, `{"cents":500}`}, "the first reply", 409, server.StatusMismatch, 1},
		"another path":              {ask{first.method, "/refunds", first.user, uuid, first.body}, "the first reply", 409, server.StatusMismatch, 1},
		"another method":            {ask{http.MethodDelete, first.path, first.user, uuid, first.body}, "the first reply", 409, server.StatusMismatch, 1},
		"another user":              {ask{first.method, first.path, "bob", uuid, first.body}, "the first user's reply", 201, server.StatusExecuted, 2},
		"the key in quotes":         {ask{first.method, first.path, first.user, `"` + uuid + `"`, first.body}, "500", 201, server.StatusReplayed, 1},
		"a key that is not a UUID":  {ask{first.method, first.path, first.user, "order-1", first.body}, "500", 201, server.StatusExecuted, 2},
		"no key":                    {ask{first.method, first.path, first.user, "", first.body}, "executed", 400, server.StatusRefused, 1},
		"a key on a read":           {ask{http.MethodGet, first.path, first.user, uuid, ""}, "executed each time", 201, "", 2},
		"a key that cannot be read": {ask{first.method, first.path, first.user, "a b", first.body}, "500", 400, server.StatusRefused, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := &counter{}
			url := serveHandler(t, byAccount(t, newStore(t), h))
			do := func(a ask) got {
				return send(t, newRequest(t, a.method, url+a.path, a.key, a.body, "X-Account", a.user))
			}
			requireFirst(t, do(first))
			g := do(row.ask)
			require.Equal(t, row.status, g.status, "%s (gofiber: %s)", g.body, row.theirs)
			require.Equal(t, row.idem, g.idem())
			require.Equal(t, row.runs, h.runs.Load())
		})
	}
}
