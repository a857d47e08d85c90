package idem_test

import (
	"crypto/aes"
	"crypto/cipher"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/idem-go/idem"
	"github.com/stretchr/testify/require"
)

// What the journal wrote it reads again as it was; what it did not write, because
// the disk changed it, is an error or something, and never a panic.

// nanoTime is a time as rows have it.
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
		st := idem.Summary{
			Version: int(version), State: idem.State(state), Failure: idem.Failure(failure), Attempts: int(attempts), MayHaveExecuted: maybe,
			FirstSent: nanoTime(first), WindowStart: nanoTime(window), Takeovers: int(takeovers),
		}
		again, err := idem.StandingRow(st)
		require.NoError(t, err)
		require.Equal(t, st, again)

		read, err := idem.DecodeStanding(text)
		if err != nil {
			return
		}
		again, err = idem.StandingRow(read)
		require.NoError(t, err)
		require.Equal(t, read, again)
	})
}

func FuzzTriesRow(f *testing.F) {
	f.Add(int64(1), int64(1700000000000000000), int64(5_000_000), int64(502), "http 502", "the far side answered 502", []byte("1 1700000000000000000 5000000 502 \"http 502\" \"\"\n"))
	f.Add(int64(2), int64(0), int64(-1), int64(0), "a \"quoted\"\nline", "\xff\x00 \u2028", []byte("1 2 3 4 \"\" \"\n"))
	f.Add(int64(3), int64(1), int64(1), int64(1), "", "`", []byte("1 2 3 4 `a` 'b'\n\n"))
	f.Fuzz(func(t *testing.T, number, at, took, status int64, reason, text string, row []byte) {
		one := idem.Attempt{Number: int(number), At: nanoTime(at), Took: time.Duration(took), Status: int(status), Reason: reason, Err: text}
		tries := []idem.Attempt{one, {Number: 1, Reason: "x"}, one}
		again, err := idem.TriesRow(tries)
		require.NoError(t, err)
		require.Equal(t, tries, again)

		read, err := idem.DecodeTries(row)
		if err != nil || len(read) == 0 {
			return
		}
		again, err = idem.TriesRow(read)
		require.NoError(t, err)
		require.Equal(t, read, again)
	})
}

// asReply is text as net/http can have read it: one line, without blanks around it.
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
		r := &idem.Reply{Status: int(status), Proto: proto, Header: http.Header{}, Body: body, Size: int64(len(body))}
		if name = strings.TrimSpace(name); validName(name) {
			r.Header[name] = []string{asReply(value), "second"}
		}
		if cut {
			r.Size, r.Body, r.Hash = r.Size+1, nil, [32]byte{1, 2, 3}
		}
		again, err := idem.ReplyRow(r)
		require.NoError(t, err)
		if strings.ContainsAny(proto, " \n") {
			require.Empty(t, again.Proto, "no protocol is called that, and it would run into what follows")
			again.Proto = proto
		}
		require.Equal(t, r, again)

		read, err := idem.DecodeReplyRow(status, row, body)
		if err != nil {
			return
		}
		again, err = idem.ReplyRow(read)
		require.NoError(t, err)
		require.Equal(t, read.Header, again.Header)
		require.Equal(t, read.Proto, again.Proto)
	})
}

// validName tells of a header's name as RFC 9110 has it, with code of the tests' own.
func validName(name string) bool {
	for _, r := range name {
		if r > 'z' || !strings.ContainsRune("!#$%&'*+-.^_`|~0123456789", r) && !(r >= 'a' && r <= 'z') && !(r >= 'A' && r <= 'Z') {
			return false
		}
	}
	return name != ""
}

// A request that may be sent is journaled so that what is read again is the same
// request.
func FuzzHeadRow(f *testing.F) {
	f.Add("POST", "https://api.example.com/v1/charges?a=b&c=d e", "Content-Type", "application/json", "api.example.com", []byte("POST https://x/\nHost: y\nA: b\n-header Authorization\n"))
	f.Add("", "http://user:secret@[::1]:80/a%2Fb?api_key=k#frag", "Authorization", "Bearer x", "", []byte("POST \nA: b"))
	f.Add("PATCH", "http://h?x=\": y\"", "-odd", "a: b", "other", []byte("\n-userinfo\n-query a: b\n"))
	f.Fuzz(func(t *testing.T, method, target, name, value, host string, row []byte) {
		if u, err := url.Parse(target); err == nil {
			req := &http.Request{Method: method, URL: u, Host: host, Header: http.Header{name: {value}}}
			first, again, err := idem.HeadRow(req, stripe())
			if first != nil {
				require.NoError(t, err, "%q", first)
				require.Equal(t, string(first), string(again))
			}
		}
		once, err := idem.DecodeHead(row)
		if err != nil {
			return
		}
		twice, err := idem.DecodeHead(once)
		require.NoError(t, err, "%q", once)
		require.Equal(t, string(once), string(twice))
	})
}

func FuzzParts(f *testing.F) {
	f.Add([]byte("\x01a\x00\x02bc"), "", "key", "column")
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "a", "b", "c")
	f.Fuzz(func(t *testing.T, b []byte, one, two, three string) {
		idem.CutParts(b)
		framed := framed(one, two, three)
		parts, again := idem.CutParts(framed)
		require.Equal(t, []string{one, two, three}, parts)
		require.Equal(t, framed, again)
	})
}

// framed frames texts by their lengths, with code of the tests' own.
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

// What is sealed opens with its key, in its place, unchanged, and not otherwise.
func FuzzSeal(f *testing.F) {
	f.Add([]byte("amount=500"), "key", "payload", uint16(3), []byte("short"))
	f.Add([]byte{}, "", "", uint16(0), []byte(nil))
	block, err := aes.NewCipher(make([]byte, 32))
	require.NoError(f, err)
	aead, err := cipher.NewGCM(block)
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, plain []byte, key, column string, at uint16, stranger []byte) {
		sealed, err := idem.SealWith(aead, plain, key, column)
		require.NoError(t, err)
		opened, err := idem.OpenWith(aead, sealed, key, column)
		require.NoError(t, err)
		require.Equal(t, string(plain), string(opened))
		for _, place := range [][2]string{{key + "x", column}, {key, column + "x"}, {key + column, ""}} {
			if place != [2]string{key, column} {
				_, err = idem.OpenWith(aead, sealed, place[0], place[1])
				require.Error(t, err, "it opened as the %q of %q", place[1], place[0])
			}
		}
		sealed[int(at)%len(sealed)] ^= 1 << (at % 8)
		_, err = idem.OpenWith(aead, sealed, key, column)
		require.Error(t, err, "it opened although it was changed")
		_, err = idem.OpenWith(aead, stranger, key, column)
		require.Error(t, err)
	})
}
