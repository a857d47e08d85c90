package idem

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// How rows keep what has no column of its own: text that a person can read with
// the sqlite3 program.

// nanos is a time as rows have it; 0: the zero time.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// unixTime is the time that a row has.
func unixTime(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}

// cutPart takes one framed part off.
func cutPart(b []byte) (part, rest []byte, ok bool) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size) {
		return nil, nil, false
	}
	return b[size : size+int(n)], b[size+int(n):], true
}

// appendPart frames a part by its length, for cutPart.
func appendPart(b, part []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(part))), part...)
}

// encodeStanding is "version state failure attempts maybe first-sent window takeovers".
func encodeStanding(st Summary, version int64) []byte {
	return appendStanding(make([]byte, 0, 80), st, version)
}

func appendStanding(b []byte, st Summary, version int64) []byte {
	maybe := int64(0)
	if st.MayHaveExecuted {
		maybe = 1
	}
	for i, n := range [...]int64{version, int64(st.State), int64(st.Failure), int64(st.Attempts), maybe,
		nanos(st.FirstSent), nanos(st.WindowStart), int64(st.Takeovers)} {
		if i > 0 {
			b = append(b, ' ')
		}
		b = strconv.AppendInt(b, n, 10)
	}
	return b
}

func decodeStanding(text []byte) (Summary, error) {
	var n [8]int64
	fields := strings.Fields(string(text))
	if len(fields) != len(n) {
		return Summary{}, fmt.Errorf("a standing of %d fields", len(fields))
	}
	for i, f := range fields {
		v, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return Summary{}, fmt.Errorf("a standing with %q", f)
		}
		n[i] = v
	}
	return Summary{
		Version: int(n[0]), State: State(n[1]), Failure: Failure(n[2]), Attempts: int(n[3]), MayHaveExecuted: n[4] == 1,
		FirstSent: unixTime(n[5]), WindowStart: unixTime(n[6]), Takeovers: int(n[7]),
	}, nil
}

// encodeTries is a line for each attempt: number, when, how long, status, and the
// reason and error quoted.
func encodeTries(tries []Attempt) []byte {
	if len(tries) == 0 {
		return nil
	}
	return appendTries(make([]byte, 0, 64*len(tries)), tries)
}

func appendTries(b []byte, tries []Attempt) []byte {
	for _, t := range tries {
		for _, n := range [...]int64{int64(t.Number), nanos(t.At), int64(t.Took), int64(t.Status)} {
			b = append(strconv.AppendInt(b, n, 10), ' ')
		}
		b = append(strconv.AppendQuote(b, t.Reason), ' ')
		b = append(strconv.AppendQuote(b, t.Err), '\n')
	}
	return b
}

func decodeTries(text []byte) ([]Attempt, error) {
	var tries []Attempt
	for line := range bytes.Lines(text) {
		var t Attempt
		var number, at, took, status int64
		rest, ok := string(line), true
		for _, n := range [...]*int64{&number, &at, &took, &status} {
			field, tail, found := strings.Cut(rest, " ")
			v, err := strconv.ParseInt(field, 10, 64)
			*n, rest, ok = v, tail, ok && found && err == nil
		}
		for _, text := range [...]*string{&t.Reason, &t.Err} {
			quoted, err := strconv.QuotedPrefix(rest)
			if err != nil {
				return nil, fmt.Errorf("an attempt that cannot be read: %.40q", line)
			}
			*text, err = strconv.Unquote(quoted)
			rest, ok = strings.TrimPrefix(rest[len(quoted):], " "), ok && err == nil
		}
		if !ok {
			return nil, fmt.Errorf("an attempt that cannot be read: %.40q", line)
		}
		t.Number, t.At, t.Took, t.Status = int(number), unixTime(at), time.Duration(took), int(status)
		tries = append(tries, t)
	}
	return tries, nil
}

// encodeReplyHead is the protocol, the size and hash of a body that is not kept,
// and the headers.
func encodeReplyHead(r *Reply) []byte { return appendReplyHead(make([]byte, 0, 256), r) }

func appendReplyHead(b []byte, r *Reply) []byte {
	if !strings.ContainsAny(r.Proto, " \n") { // a transport that is no net/http may say anything
		b = append(b, r.Proto...)
	}
	if r.truncated() {
		b = append(b, ' ')
		b = strconv.AppendInt(b, r.Size, 10)
		b = fmt.Appendf(b, " %x", r.Hash)
	}
	return appendLines(append(b, '\n'), r.Header, nil)
}

func decodeReplyRow(status int64, head, body []byte) (*Reply, error) {
	first, rest, _ := bytes.Cut(head, []byte("\n"))
	r := &Reply{Status: int(status), Body: body, Size: int64(len(body))}
	fields := strings.Split(string(first), " ") // a tool's output has no protocol
	r.Proto = fields[0]
	if len(fields) == 3 {
		size, err := strconv.ParseInt(fields[1], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("a reply of size %q", fields[1])
		}
		r.Size = size
		if n, err := hex.Decode(r.Hash[:], []byte(fields[2])); n != len(r.Hash) || err != nil {
			return nil, fmt.Errorf("a reply of hash %q", fields[2])
		}
	}
	r.Header, _ = decodeLines(rest)
	if len(r.Header) == 0 {
		r.Header = http.Header{}
	}
	return r, nil
}
