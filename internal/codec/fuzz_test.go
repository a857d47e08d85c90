package codec_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem/internal/codec"
	"github.com/idem-go/idem/journal"
)

// These tests check that encoded values decode to the same values, and that other bytes,
// such as those that a disk changed, never make a decoder panic.

// nanoTime returns a time as a decoder returns it.
func nanoTime(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}

func FuzzStandingRow(f *testing.F) {
	f.Add(int64(1), uint8(1), uint8(0), int64(1), true, int64(1700000000000000000), int64(1700000000000000000), int64(0), []byte("1 1 0 1 1 1700000000000000000 1700000000000000000 0"))
	f.Add(int64(0), uint8(0), uint8(0), int64(0), false, int64(0), int64(-1), int64(5), []byte("0 0 0 0 0 0 0"))
	f.Add(int64(-1), uint8(255), uint8(255), int64(1<<62), false, int64(1), int64(1)<<62, int64(-1), []byte("1 2 3 4 5 6 7 99999999999999999999"))
	f.Fuzz(func(t *testing.T, version int64, state, failure uint8, attempts int64, maybe bool, first, window, takeovers int64, text []byte) {
		st := journal.Summary{
			Version: int(version), State: journal.State(state), Failure: journal.Failure(failure), Attempts: int(attempts), MayHaveExecuted: maybe,
			FirstSent: nanoTime(first), WindowStart: nanoTime(window), Takeovers: int(takeovers),
		}
		again, err := codec.DecodeSummary(codec.EncodeSummary(st, int64(st.Version)))
		require.NoError(t, err)
		require.Equal(t, st, again)

		read, err := codec.DecodeSummary(text)
		if err != nil {
			return
		}
		again, err = codec.DecodeSummary(codec.EncodeSummary(read, int64(read.Version)))
		require.NoError(t, err)
		require.Equal(t, read, again)
	})
}

func FuzzTriesRow(f *testing.F) {
	f.Add(int64(1), int64(1700000000000000000), int64(5_000_000), int64(502), "http 502", "the far side answered 502", []byte("1 1700000000000000000 5000000 502 \"http 502\" \"\"\n"))
	f.Add(int64(2), int64(0), int64(-1), int64(0), "a \"quoted\"\nline", "\xff\x00 \u2028", []byte("1 2 3 4 \"\" \"\n"))
	f.Add(int64(3), int64(1), int64(1), int64(1), "", "`", []byte("1 2 3 4 `a` 'b'\n\n"))
	f.Fuzz(func(t *testing.T, number, at, took, status int64, reason, text string, row []byte) {
		one := journal.Attempt{Number: int(number), At: nanoTime(at), Took: time.Duration(took), Status: int(status), Reason: reason, Err: text}
		tries := []journal.Attempt{one, {Number: 1, Reason: "x"}, one}
		again, err := codec.DecodeAttempts(codec.EncodeAttempts(tries))
		require.NoError(t, err)
		require.Equal(t, tries, again)

		read, err := codec.DecodeAttempts(row)
		if err != nil || len(read) == 0 {
			return
		}
		again, err = codec.DecodeAttempts(codec.EncodeAttempts(read))
		require.NoError(t, err)
		require.Equal(t, read, again)
	})
}

// asReply returns s as net/http can have read it: one line, without blanks around it.
func asReply(s string) string {
	return strings.Trim(strings.Map(func(r rune) rune {
		if r == '\n' || r == '\r' {
			return -1
		}
		return r
	}, s), " \t")
}

func FuzzReplyRow(f *testing.F) {
	f.Add(int64(200), "HTTP/1.1", "Content-Type", "application/json", []byte(`{"id":1}`), false, []byte("HTTP/1.1 12 00ff\nA: b\n"))
	f.Add(int64(201), "", "-X", "a: b", []byte(nil), true, []byte("HTTP/1.1 x y\n\n: \n-header A\n"))
	f.Add(int64(0), "HTTP/2.0 5 00", "X", "", []byte{0, 1, 2}, true, []byte("\n\n\n"))
	f.Add(int64(200), "odd\nproto", "Content-Type", "x", []byte{}, false, []byte(" 9999999999999999999 \n"))
	f.Fuzz(func(t *testing.T, status int64, proto, name, value string, body []byte, cut bool, row []byte) {
		r := &journal.Reply{Status: int(status), Proto: proto, Header: http.Header{}, Body: body, Size: int64(len(body))}
		if name = strings.TrimSpace(name); validName(name) {
			r.Header[name] = []string{asReply(value), "second"}
		}
		if cut {
			r.Size, r.Body, r.Hash = r.Size+1, nil, [32]byte{1, 2, 3}
		}
		again, err := codec.DecodeReply(int64(r.Status), codec.EncodeReplyHead(r), r.Body)
		require.NoError(t, err)
		if strings.ContainsAny(proto, " \n") {
			require.Empty(t, again.Proto, "no protocol is called that, and it would run into what follows")
			again.Proto = proto
		}
		require.Equal(t, r, again)

		read, err := codec.DecodeReply(status, row, body)
		if err != nil {
			return
		}
		again, err = codec.DecodeReply(int64(read.Status), codec.EncodeReplyHead(read), read.Body)
		require.NoError(t, err)
		require.Equal(t, read.Header, again.Header)
		require.Equal(t, read.Proto, again.Proto)
	})
}

// validName reports whether RFC 9110 allows the header's name. It shares no code with
// the package.
func validName(name string) bool {
	for _, r := range name {
		if r > 'z' || !strings.ContainsRune("!#$%&'*+-.^_`|~0123456789", r) && !(r >= 'a' && r <= 'z') && !(r >= 'A' && r <= 'Z') {
			return false
		}
	}
	return name != ""
}

func FuzzParts(f *testing.F) {
	f.Add([]byte("\x01a\x00\x02bc"), "", "key", "column")
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "a", "b", "c")
	f.Fuzz(func(t *testing.T, b []byte, one, two, three string) {
		cutAll(b)
		framed := framed(one, two, three)
		parts, again := cutAll(framed)
		require.Equal(t, []string{one, two, three}, parts)
		require.Equal(t, framed, again)
	})
}

// cutAll cuts all parts off b and returns them, also framed again.
func cutAll(b []byte) (parts []string, again []byte) {
	for len(b) > 0 {
		part, rest, ok := codec.CutPart(b)
		if !ok {
			break
		}
		parts, again, b = append(parts, string(part)), codec.AppendPart(again, part), rest
	}
	return parts, again
}

// framed frames texts by their lengths. It shares no code with the package.
func framed(texts ...string) (b []byte) {
	for _, s := range texts {
		n := uint64(len(s))
		for ; n >= 0x80; n >>= 7 {
			b = append(b, byte(n)|0x80)
		}
		b = append(append(b, byte(n)), s...)
	}
	return b
}
