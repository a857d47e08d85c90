package server_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/idem-go/idem/server"
	"github.com/stretchr/testify/require"
)

// Two hundred requests of one key at once make one execution, and all get the same
// reply.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	forEachStore(t, func(t *testing.T, s *server.Store) {
		const callers = 200
		h := newGate()
		url := serve(t, s, h.ServeHTTP, server.Wait(time.Minute))
		got := sendMany(t, callers, func(int) *http.Request { return newRequest(t, http.MethodPost, url, "k", "{}") }, func() {
			<-h.began
			h.open()
		})
		require.EqualValues(t, 1, h.runs.Load())
		first := 0
		for _, g := range got {
			require.Equal(t, 201, g.status, g.body)
			require.Equal(t, `{"run":1,"got":"{}"}`, g.body)
			if !g.replayed() {
				require.Equal(t, server.StatusExecuted, g.idem())
				first++
			} else {
				require.Equal(t, server.StatusReplayed, g.idem())
			}
		}
		require.Equal(t, 1, first)
		st := s.Stats()
		require.EqualValues(t, 1, st.Executed)
		require.EqualValues(t, callers-1, st.Replayed)
		require.Zero(t, st.Executing)
	})
}

// sendMany sends requests at once; meanwhile runs beside them.
func sendMany(t *testing.T, n int, request func(i int) *http.Request, meanwhile func()) []got {
	replies, errs := make([]got, n), make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		req := request(i)
		wg.Go(func() { replies[i], errs[i] = try(req) })
	}
	meanwhile()
	wg.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	return replies
}

// A key that is being executed is in use, for the same payload; another payload is
// told so first. When it is done the same request gets its reply.
func TestInFlight(t *testing.T) {
	t.Parallel()
	forEachStore(t, func(t *testing.T, s *server.Store) {
		h := newGate()
		url := serve(t, s, h.ServeHTTP)
		t.Cleanup(h.open)
		var first got
		var wg sync.WaitGroup
		req := newRequest(t, http.MethodPost, url, "k", "{}")
		wg.Go(func() { first, _ = try(req) })
		<-h.began
		for range 3 {
			g := post(t, url, "k", "{}")
			requireProblem(t, g, 409, server.CodeKeyInUse, server.StatusInFlight)
			require.Equal(t, "1", g.header.Get("Retry-After"))
			requireProblem(t, post(t, url, "k", "[]"), 409, server.CodeKeyMismatch, server.StatusMismatch)
		}
		require.EqualValues(t, 1, s.Stats().Executing)
		h.open()
		wg.Wait()
		requireFirst(t, first)
		requireReplay(t, first, post(t, url, "k", "{}"))
		require.EqualValues(t, 1, h.runs.Load())
		require.EqualValues(t, 3, s.Stats().InFlight)
		require.EqualValues(t, 3, s.Stats().Mismatch)
	})
}

// A wait is bounded: when it is over, the key is still in use. It ends at once for
// another payload.
func TestWaitIsBounded(t *testing.T) {
	t.Parallel()
	h := newGate()
	url := serve(t, newStore(t), h.ServeHTTP, server.Wait(20*time.Millisecond))
	var wg sync.WaitGroup
	req := newRequest(t, http.MethodPost, url, "k", "{}")
	wg.Go(func() { try(req) })
	t.Cleanup(wg.Wait)
	t.Cleanup(h.open)
	<-h.began
	requireProblem(t, post(t, url, "k", "{}"), 409, server.CodeKeyInUse, server.StatusInFlight)
	requireProblem(t, post(t, url, "k", "[]"), 409, server.CodeKeyMismatch, server.StatusMismatch)
}

// Those who waited for an execution that was forgotten execute in their turn: each
// is told what its own run said, and nobody is left.
func TestWaitersOfAForgottenKey(t *testing.T) {
	t.Parallel()
	forEachStore(t, func(t *testing.T, s *server.Store) {
		h := &counter{}
		var mu sync.Mutex
		runs := 0
		url := serve(t, s, func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			runs++
			n := runs
			mu.Unlock()
			if n <= 3 {
				server.Forget(r.Context())
				w.WriteHeader(429)
				return
			}
			h.ServeHTTP(w, r)
		}, server.Wait(time.Minute))
		counts := map[string]int{}
		for _, g := range sendMany(t, 30, func(int) *http.Request { return newRequest(t, http.MethodPost, url, "k", "{}") }, func() {}) {
			counts[fmt.Sprint(g.status, " ", g.idem())]++
		}
		require.Equal(t, map[string]int{"429 " + server.StatusRefused: 3, "201 " + server.StatusExecuted: 1, "201 " + server.StatusReplayed: 26}, counts)
		require.EqualValues(t, 1, h.runs.Load())
	})
}

// Many keys at once are executed once each, whoever asks how often.
func TestManyKeysAtOnce(t *testing.T) {
	t.Parallel()
	forEachStore(t, func(t *testing.T, s *server.Store) {
		h := &counter{}
		url := serve(t, s, h.ServeHTTP, server.Wait(time.Minute))
		replies := sendMany(t, 200, func(i int) *http.Request {
			return newRequest(t, http.MethodPost, url, fmt.Sprint("k-", i%20), fmt.Sprint(i%20))
		}, func() {})
		byKey := map[int]string{}
		for i, g := range replies {
			require.Equal(t, 201, g.status, g.body)
			if byKey[i%20] == "" {
				byKey[i%20] = g.body
			}
			require.Equal(t, byKey[i%20], g.body)
		}
		require.EqualValues(t, 20, h.runs.Load())
	})
}

// A caller who hangs up in the middle does not cut the execution: its outcome is
// there for the retry.
func TestCallerHangsUp(t *testing.T) {
	t.Parallel()
	forEachStore(t, func(t *testing.T, s *server.Store) {
		h := newGate()
		ended := make(chan error, 1)
		url := serve(t, s, func(w http.ResponseWriter, r *http.Request) {
			h.ServeHTTP(w, r)
			_, bounded := r.Context().Deadline()
			require.True(t, bounded)
			ended <- r.Context().Err()
		}, server.Wait(time.Minute))
		t.Cleanup(h.open)
		req := newRequest(t, http.MethodPost, url, "k", "{}")
		ctx, hangUp := newCancel(req)
		failed := make(chan error, 1)
		go func() { _, err := try(req.WithContext(ctx)); failed <- err }()
		<-h.began
		hangUp()
		require.Error(t, <-failed)
		h.open()
		require.NoError(t, <-ended)
		g := post(t, url, "k", "{}")
		require.Equal(t, `{"run":1,"got":"{}"}`, g.body)
		require.True(t, g.replayed())
		require.EqualValues(t, 1, h.runs.Load())
	})
}

// The handler's time is bounded by an option, and not by the caller.
func TestTimeout(t *testing.T) {
	t.Parallel()
	url := serve(t, newStore(t), func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		http.Error(w, r.Context().Err().Error(), http.StatusGatewayTimeout)
	}, server.Timeout(10*time.Millisecond))
	first := post(t, url, "k", "{}")
	requireFirst(t, first)
	require.Equal(t, "context deadline exceeded\n", first.body)
	requireReplay(t, first, post(t, url, "k", "{}"))
}
