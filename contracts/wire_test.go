package contracts_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"
)

// provider answers on a real socket, and remembers where it saw keys.
type provider struct {
	*httptest.Server
	mu    sync.Mutex
	cut   bool // the next request is taken, and gets no answer
	reply row
	keys  []string
	times []string // what the header of the first attempt said
}

func newProvider(t *testing.T, p profile) *provider {
	s := &provider{}
	kind, at, _ := strings.Cut(p.place, " ")
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.keys = append(s.keys, keyIn(r, body, kind, at, p.form))
		s.times = append(s.times, r.Header.Get("Repeatability-First-Sent"))
		if s.cut {
			s.cut = false
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				_ = conn.(*net.TCPConn).SetLinger(0)
				_ = conn.Close()
			}
			return
		}
		resp := s.reply.response()
		for name, values := range resp.Header {
			w.Header()[name] = values
		}
		w.WriteHeader(s.reply.status)
		_, _ = io.WriteString(w, s.reply.body)
	}))
	t.Cleanup(s.Close)
	return s
}

func keyIn(r *http.Request, body []byte, kind, at string, form bool) string {
	switch kind {
	case "header":
		return r.Header.Get(at)
	case "query":
		return r.URL.Query().Get(at)
	}
	names := strings.Split(strings.TrimPrefix(at, "/"), "/")
	if form {
		values, _ := url.ParseQuery(string(body))
		return values.Get(names[0])
	}
	var v any
	_ = json.Unmarshal(body, &v)
	for _, name := range names {
		member, _ := v.(map[string]any)
		v = member[name]
	}
	key, _ := v.(string)
	return key
}

func (s *provider) answer(r row, cutFirst bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reply, s.cut, s.keys, s.times = r, cutFirst, nil, nil
}

func (s *provider) seen() (keys, times []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append(keys, s.keys...), append(times, s.times...)
}

// settled is the state that a reply leaves an intent in when no attempt before it
// can have done anything, and when one may have.
func settled(r row) (clean, after idem.State) {
	refused := idem.InDoubt // after an unknown attempt a refusal proves nothing …
	if r.stored {
		refused = idem.Failed // … unless it speaks for that attempt too
	}
	switch r.want {
	case idem.ReplyDone:
		return idem.Succeeded, idem.Succeeded
	case idem.ReplyRefused, idem.ReplyLater:
		return idem.Failed, refused
	case idem.ReplyUsual:
		switch r.status {
		case 200, 201, 202, 204:
			return idem.Succeeded, idem.Succeeded
		case 400, 401, 402, 403, 405, 422, 429:
			return idem.Failed, refused
		}
	}
	return idem.InDoubt, idem.InDoubt
}

// Evidence and reply together make the state, through a real client and a real
// server. Failed means that nothing happened: after an attempt that may have had
// its effect, no refusal and no conflict of any provider makes an intent Failed.
// Every attempt carries the same key, in the place where the provider reads it.
func TestEvidenceAndReply(t *testing.T) {
	t.Parallel()
	for _, p := range profiles() {
		t.Run(p.function, func(t *testing.T) {
			t.Parallel()
			server := newProvider(t, p)
			retry := func(attempts int) idem.Retry {
				return idem.Retry{MaxAttempts: attempts, MinBackoff: time.Microsecond, MaxBackoff: time.Millisecond}
			}
			client, err := idem.Open(filepath.Join(t.TempDir(), "journal.db"),
				idem.WithPolicy("clean", idem.Policy{Contract: p.contract(), Retry: retry(1)}),
				idem.WithPolicy("after", idem.Policy{Contract: p.contract(), Retry: retry(2)}),
				idem.WithLogger(slog.New(slog.DiscardHandler)))
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, client.Close()) })
			for _, r := range p.rows {
				clean, after := settled(r)
				for operation, want := range map[string]idem.State{"clean": clean, "after": after} {
					attempts := 1
					if operation == "after" {
						attempts = 2
					}
					server.answer(r, attempts == 2)
					in, err := client.Begin(context.Background(), idem.Operation{Name: operation, ID: r.name}, request(t, p, server.URL))
					require.NoError(t, err)
					resp, err := in.Do(context.Background())
					if want == idem.InDoubt {
						require.ErrorIs(t, err, idem.ErrInDoubt, "%s, %s", r.name, operation)
					} else {
						require.NoError(t, err, "%s, %s", r.name, operation)
						require.Equal(t, r.status, resp.StatusCode)
						require.NoError(t, resp.Body.Close())
					}
					require.Equal(t, want.String(), in.State().String(), "%s, %s", r.name, operation)
					keys, times := server.seen()
					require.Len(t, keys, attempts, "%s, %s", r.name, operation)
					for i := range keys {
						require.Equal(t, in.Key(), keys[i], "%s, %s", r.name, operation)
						require.Equal(t, times[0], times[i], "the first attempt's time changed")
						require.Equal(t, p.contract().FirstSent != "", times[i] != "")
					}
				}
			}
		})
	}
}

func request(t *testing.T, p profile, target string) *http.Request {
	req, err := http.NewRequest(http.MethodPost, target+"/v1/things?api-version=1", strings.NewReader(p.request))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	if p.form {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Accept", "text/xml")
	}
	return req
}
