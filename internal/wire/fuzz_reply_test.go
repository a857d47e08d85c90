package wire_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"

	"github.com/idem-go/idem/internal/testkit"
)

// rawServer is the server's end of a connection. It reads one request, writes arbitrary
// bytes, and closes the connection.
type rawServer struct {
	raw    []byte
	filler []byte // written after raw, a number of times
	times  int
}

func (s *rawServer) dial() net.Conn {
	here, there := net.Pipe()
	go func() {
		defer there.Close()
		req, err := http.ReadRequest(bufio.NewReader(there))
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			return
		}
		_ = there.SetWriteDeadline(time.Now().Add(5 * time.Second)) // the client may stop reading early
		if _, err := there.Write(s.raw); err != nil {
			return
		}
		for range s.times {
			if _, err := there.Write(s.filler); err != nil {
				return
			}
		}
	}()
	return here
}

// whole parses the server's bytes as a reply and returns it with its body, or nil if
// they are no complete reply.
func (s *rawServer) whole() (*http.Response, []byte) {
	all := io.MultiReader(bytes.NewReader(s.raw), bytes.NewReader(bytes.Repeat(s.filler, s.times)))
	in := bufio.NewReader(all)
	req := &http.Request{Method: http.MethodPost}
	for {
		resp, err := http.ReadResponse(in, req)
		if err != nil {
			return nil, nil
		}
		if resp.StatusCode >= 100 && resp.StatusCode < 200 && resp.StatusCode != http.StatusSwitchingProtocols {
			continue
		}
		if strings.EqualFold(resp.Header.Get("Content-Encoding"), "gzip") && resp.ContentLength != 0 {
			// net/http asked for gzip on its own, and decompresses it.
			if resp.Body, err = gzip.NewReader(resp.Body); err != nil {
				return nil, nil
			}
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return nil, nil
		}
		return resp, body
	}
}

const fuzzMaxReply = 32 << 10

// Whatever bytes the server returns, an intent Succeeded only with a complete reply of
// success, and Failed only with a complete refusal; otherwise it is in doubt. The
// recorded reply is the server's, up to the limit.
func FuzzReplies(f *testing.F) {
	for _, seed := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{}",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\n{}\r\n0\r\nX-Sum: 1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Content-Length\r\n\r\n2\r\n{}\r\n0\r\nIdem-Status: mismatch\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\nContent-Length: 5\r\n\r\n{}",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}",
		"HTTP/1.1 102 Processing\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n{}",
		"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
		"HTTP/1.1 206 Partial Content\r\nContent-Length: 2\r\n\r\n{}",
		"HTTP/1.1 304 Not Modified\r\n\r\n",
		"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 400 Bad Request\r\nContent-Length: 40\r\n\r\n{\"error\":{\"type\":\"idempotency_error\"}}",
		"HTTP/1.1 400 Bad Request\r\nIdem-Status: executed\r\nContent-Length: 2\r\n\r\n{}",
		"HTTP/1.1 422 X\r\nIdempotent-Replayed: true\r\nContent-Length: 2\r\n\r\n{}",
		"HTTP/1.0 200 OK\r\n\r\nuntil the end",
		"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>",
		"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
		"HTTP/2.0 200 OK\r\n\r\n", "HTTP/1.1 99 X\r\n\r\n", "HTTP/1.1 1000 X\r\n\r\n", "HTTP/1.1 200", "GET / HTTP/1.1\r\n\r\n", "",
	} {
		f.Add([]byte(seed), uint16(0), []byte(nil), uint8(0))
		f.Add([]byte(seed), uint16(0), []byte(nil), uint8(2))
	}
	head := "HTTP/1.1 200 OK\r\n"
	f.Add([]byte(head), uint16(2000), []byte("X-Long: "+strings.Repeat("x", 4000)+"\r\n"), uint8(0))
	f.Add([]byte(head+"X-Long: "), uint16(2000), []byte(strings.Repeat("x", 1000)), uint8(1))
	f.Add([]byte(head+"\r\n"), uint16(3000), []byte(strings.Repeat("x", 4000)), uint8(1))
	f.Add([]byte(head+"Transfer-Encoding: chunked\r\n\r\n"), uint16(3000), []byte("5\r\nabcde\r\n"), uint8(2))
	f.Add([]byte(head+"Content-Length: 1000000\r\n\r\n"), uint16(999), []byte(strings.Repeat("x", 1000)), uint8(0))
	f.Add([]byte{}, uint16(500), []byte("HTTP/1.1 102 Processing\r\n\r\n"), uint8(0))

	var server atomic.Pointer[rawServer]
	base := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			return server.Load().dial(), nil
		},
	}
	contracts := map[string]idem.Contract{"none": {}, "stripe": idem.Stripe(), "standard": idem.Standard(), "ietf": idem.IETF()}
	opts := []idem.Option{idem.WithTransport(base), idem.WithMaxReply(fuzzMaxReply)}
	names := []string{"none", "stripe", "standard", "ietf"}
	for _, name := range names {
		opts = append(opts, idem.WithPolicy(name, idem.Policy{Contract: contracts[name], Retry: idem.Retry{MaxAttempts: 1, AttemptTimeout: 20 * time.Second}}))
	}
	client, err := idem.Open(filepath.Join(f.TempDir(), "agent.db"), opts...)
	require.NoError(f, err)
	f.Cleanup(func() { require.NoError(f, client.Close()) })
	calls := 0
	f.Fuzz(func(t *testing.T, raw []byte, times uint16, filler []byte, which uint8) {
		if len(filler)*int(times) > 16<<20 {
			return // it would take long and test nothing more
		}
		s := &rawServer{raw: raw, filler: filler, times: int(times)}
		server.Store(s)
		calls++
		req, err := http.NewRequestWithContext(testkit.Context(t), http.MethodPost, "http://far.test/v1/charges", strings.NewReader(`{"amount":500}`))
		require.NoError(t, err)
		req.Header.Set("Content-Type", testkit.JSON)
		name := names[int(which)%len(names)]
		in, err := client.Begin(testkit.Context(t), idem.Operation{Name: name, ID: fmt.Sprint(calls)}, req)
		require.NoError(t, err)
		resp, err := in.Do(testkit.Context(t))
		reply, body := s.whole()

		switch state := in.State(); state {
		case idem.Succeeded:
			require.NotNil(t, reply, "it succeeded, and there was no whole reply")
			require.Contains(t, []int{200, 201, 202, 204}, reply.StatusCode)
			require.False(t, strings.HasPrefix(strings.ToLower(reply.Header.Get("Content-Type")), "text/html"), "a page that a proxy made")
			requireOutcome(t, in, resp, err, reply, body)
		case idem.Failed:
			require.NotNil(t, reply, "it failed, and there was no whole reply")
			require.GreaterOrEqual(t, reply.StatusCode, 400)
			require.Less(t, reply.StatusCode, 500)
			require.NotContains(t, []int{407, 408, 409, 412, 423, 424, 499}, reply.StatusCode)
			if name == "standard" {
				require.NotEmpty(t, reply.Header.Get("Idem-Status"), "a refusal that its server did not sign")
			}
			requireOutcome(t, in, resp, err, reply, body)
		case idem.InDoubt:
			require.ErrorIs(t, err, idem.ErrInDoubt)
			if reply != nil && len(raw) < fuzzMaxReply && slices.Contains([]int{200, 201}, reply.StatusCode) && times == 0 && reply.ProtoMajor == 1 && !bytes.HasPrefix(raw, []byte("HTTP/1.1 1")) {
				require.True(t, strings.Contains(strings.ToLower(reply.Header.Get("Content-Type")), "html") || reply.Header.Get("Idem-Status") != "",
					"a whole %d is no doubt: %v", reply.StatusCode, err)
			}
		default:
			t.Fatalf("it is %v after its only attempt: %v", state, err)
		}
	})
}

// requireOutcome requires that the caller and the journal have the server's reply, or
// that it was longer than the limit.
func requireOutcome(t *testing.T, in *idem.Intent, resp *http.Response, err error, reply *http.Response, body []byte) {
	t.Helper()
	require.LessOrEqual(t, len(in.Outcome()), fuzzMaxReply)
	if len(body) > fuzzMaxReply {
		require.ErrorIs(t, err, idem.ErrOutcomeTruncated)
		return
	}
	if in.State() == idem.Failed && err != nil {
		require.True(t, errors.Is(err, idem.ErrRefused) || errors.Is(err, idem.ErrNotSent), "%v", err)
		return
	}
	require.NoError(t, err)
	require.Equal(t, reply.StatusCode, resp.StatusCode)
	require.Equal(t, string(body), testkit.BodyOf(t, resp))
	require.Equal(t, string(body), string(in.Outcome()))
}
