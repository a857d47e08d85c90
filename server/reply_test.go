package server_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/idem-go/idem/server"
	"github.com/stretchr/testify/require"
)

// The kept reply is the first one byte for byte, whatever a handler makes of it:
// statuses, no body, no type, guessed types, several values, trailers.
func TestReplayedByteForByte(t *testing.T) {
	t.Parallel()
	binary := string([]byte{0, 255, '\r', '\n', 0x80}) + strings.Repeat("x", 70_000)
	for name, handler := range map[string]http.HandlerFunc{
		"nothing":    func(http.ResponseWriter, *http.Request) {},
		"no content": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) },
		"refused":    func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no such account", 404) },
		"failed":     func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "half-way", 500) },
		"redirected": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusSeeOther) },
		"odd status": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(299) },
		"binary":     func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, binary) },
		"no type": func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = nil
			io.WriteString(w, "<html>")
		},
		"guessed type": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") },
		"many headers": func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["X-Many"] = []string{"b", "a: b", "", "c\r\nX-Not: 1"}
			w.Header().Set("X-Outer", "changed")
			w.Header()["-X-Odd"] = []string{"1"}
			w.Header().Set("Date", "Thu, 01 Jan 1970 00:00:00 GMT")
			w.Header().Set("Content-Length", "3")
			w.WriteHeader(200)
			w.Header().Set("X-Late", "1")
			io.WriteString(w, "longer")
		},
		"trailers": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Trailer", "X-Sum, X-Never")
			io.WriteString(w, "body")
			w.Header().Set("X-Sum", "42")
			w.Header().Set(http.TrailerPrefix+"X-More", "43")
		},
		"own headers": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(server.StatusHeader, "in-flight")
			w.Header().Set(server.ReplayedHeader, "true")
			w.WriteHeader(200)
		},
		"in steps": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(103)
			w.WriteHeader(202)
			w.WriteHeader(500)
			for i := range 3 {
				fmt.Fprint(w, i)
				w.(http.Flusher).Flush()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			forEachStore(t, func(t *testing.T, s *server.Store) { replayedAlike(t, s, name, handler) })
		})
	}
}

func replayedAlike(t *testing.T, s *server.Store, name string, handler http.HandlerFunc) {
	runs := 0
	once := wrap(t, s, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		runs++
		handler(w, r)
	}))
	url := serveHandler(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Outer", "set before")
		once.ServeHTTP(w, r)
	}))
	first := post(t, url, "k", "{}")
	requireFirst(t, first)
	for range 3 {
		again := post(t, url, "k", "{}")
		requireReplay(t, first, again)
		require.Equal(t, first.trailer, again.trailer)
	}
	require.Equal(t, 1, runs)
	switch name {
	case "trailers":
		require.Equal(t, http.Header{"X-Sum": {"42"}, "X-More": {"43"}}, first.trailer)
	case "no type":
		require.Empty(t, first.header.Values("Content-Type"))
	case "many headers":
		require.Equal(t, []string{"b", "a: b", "", "c  X-Not: 1"}, first.header.Values("X-Many"))
		require.Equal(t, []string{"1"}, first.header["-X-Odd"])
		require.Equal(t, "changed", first.header.Get("X-Outer"))
		require.Empty(t, first.header.Get("X-Late"))
		require.Equal(t, "longer", first.body)
	case "in steps":
		require.Equal(t, 202, first.status)
		require.Equal(t, "012", first.body)
	}
}

// A kept reply outlives the process that made it.
func TestReplayedAfterReopening(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/keys.db"
	h := &counter{}
	s, err := server.Open(path)
	require.NoError(t, err)
	first := post(t, serve(t, s, h.ServeHTTP), "k", "{}")
	requireFirst(t, first)
	require.NoError(t, s.Close())
	s, err = server.Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	requireReplay(t, first, post(t, serve(t, s, h.ServeHTTP), "k", "{}"))
	require.EqualValues(t, 1, h.runs.Load())
}

// A cookie is a secret of the caller who gets it: the first one gets it, and it is
// not kept.
func TestCookiesAreNotKept(t *testing.T) {
	t.Parallel()
	url := serve(t, newStore(t), func(w http.ResponseWriter, _ *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "session", Value: "secret"})
		io.WriteString(w, "welcome")
	})
	first := post(t, url, "k", "")
	require.Equal(t, "session=secret", first.header.Get("Set-Cookie"))
	first.header.Del("Set-Cookie")
	requireReplay(t, first, post(t, url, "k", ""))
}

// A reply that is too large to keep has been executed: it runs no second time, and
// everybody is told the same, which is that somebody has to look.
func TestReplyOverTheLimit(t *testing.T) {
	t.Parallel()
	runs := 0
	url := serve(t, newStore(t), func(w http.ResponseWriter, r *http.Request) {
		runs++
		_, err := io.WriteString(w, "0123456789")
		require.NoError(t, err)
		if r.URL.Path == "/over" {
			_, err = io.WriteString(w, "0")
			require.ErrorIs(t, err, server.ErrReplyTooLarge)
		}
	}, server.MaxReply(10))
	first := post(t, url+"/at", "k-0", "")
	requireFirst(t, first)
	require.Equal(t, "0123456789", first.body)
	first = post(t, url+"/over", "k-1", "")
	requireProblem(t, first, 500, server.CodeReplyTooLarge, server.StatusExecuted)
	requireReplay(t, first, post(t, url+"/over", "k-1", ""))
	require.Equal(t, 2, runs)
}

// Nothing leaves before the reply is durable, so a connection cannot be taken over
// or reached around the middleware, and a goroutine that was left behind writes to
// nothing.
func TestTheConnectionIsNotTheHandlers(t *testing.T) {
	t.Parallel()
	var left http.ResponseWriter
	url := serve(t, newStore(t), func(w http.ResponseWriter, _ *http.Request) {
		left = w
		_, hijacker := w.(http.Hijacker)
		require.False(t, hijacker)
		_, _, err := http.NewResponseController(w).Hijack()
		require.True(t, errors.Is(err, http.ErrNotSupported))
		require.NoError(t, http.NewResponseController(w).Flush())
		io.WriteString(w, "ok")
	})
	first := post(t, url, "k", "")
	requireFirst(t, first)
	_, err := io.WriteString(left, "late")
	require.Error(t, err)
	left.WriteHeader(500)
	requireReplay(t, first, post(t, url, "k", ""))
}

// What a handler says did not happen is not kept: the key is free, for the same
// payload and for another.
func TestForget(t *testing.T) {
	t.Parallel()
	forEachStore(t, func(t *testing.T, s *server.Store) {
		h := &counter{}
		url := serve(t, s, func(w http.ResponseWriter, r *http.Request) {
			switch r.Header.Get("X-Mood") {
			case "invalid":
				server.Forget(r.Context())
				http.Error(w, "cents are missing", http.StatusUnprocessableEntity)
			case "overloaded":
				server.Forget(r.Context())
				w.Header().Set("Retry-After", "1")
				w.WriteHeader(http.StatusServiceUnavailable)
			default:
				h.ServeHTTP(w, r)
			}
		})
		for range 3 {
			g := post(t, url, "k", `{}`, "X-Mood", "invalid")
			require.Equal(t, 422, g.status)
			require.Equal(t, "cents are missing\n", g.body)
			require.Equal(t, server.StatusRefused, g.idem())
		}
		g := post(t, url, "k", `{"cents":1}`, "X-Mood", "overloaded")
		require.Equal(t, 503, g.status)
		require.Equal(t, server.StatusRefused, g.idem())
		first := post(t, url, "k", `{"cents":1}`)
		requireFirst(t, first)
		requireReplay(t, first, post(t, url, "k", `{"cents":1}`))
		require.Equal(t, server.StatusMismatch, post(t, url, "k", `{}`).idem())
		require.EqualValues(t, 1, h.runs.Load())
		require.EqualValues(t, 4, s.Stats().Refused)
	})
}
