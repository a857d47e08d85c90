// Package codec encodes parts of a record as bytes and decodes them again. The SQLite
// store keeps summaries, attempts and headers as text that a person can read with the
// sqlite3 program; the encryption frames what it seals by length.
package codec

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/idem-go/idem/journal"
)

// AppendLines appends header and removed to b as text. A header is a line "name:
// value" for each value, sorted by name, so that equal headers have equal texts. An
// entry of removed, which names a part of a request that is not recorded, is a line
// that starts with "-".
func AppendLines(b []byte, header http.Header, removed []string) []byte {
	var space [16]string
	names := space[:0]
	for name := range header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, v := range header[name] {
			b = append(append(append(append(b, name...), ": "...), v...), '\n')
		}
	}
	for _, r := range removed {
		b = append(append(append(b, '-'), r...), '\n')
	}
	return b
}

// DecodeLines decodes the text that AppendLines made. It skips lines that are neither
// a header nor an entry of removed.
func DecodeLines(text []byte) (header http.Header, removed []string) {
	header = http.Header{}
	for len(text) > 0 {
		var line []byte
		line, text, _ = bytes.Cut(text, []byte("\n"))
		if name, value, ok := strings.Cut(string(line), ": "); ok && IsToken(name) {
			header[name] = append(header[name], value)
		} else if len(line) > 0 && line[0] == '-' {
			removed = append(removed, string(line[1:]))
		}
	}
	return header, removed
}

// nanos returns t as nanoseconds since 1970, and 0 for the zero time.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// UnixTime returns the time of ns nanoseconds since 1970 in UTC, and the zero time for
// 0.
func UnixTime(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}

// CutPart splits the first part off b, which AppendPart framed. It returns false if b
// does not start with a whole part.
func CutPart(b []byte) (part, rest []byte, ok bool) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size) {
		return nil, nil, false
	}
	return b[size : size+int(n)], b[size+int(n):], true
}

// AppendPart appends part to b, with its length before it. CutPart is its inverse.
func AppendPart(b, part []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(part))), part...)
}

// EncodeSummary returns the text of st with the given version instead of st.Version. See
// AppendSummary.
func EncodeSummary(st journal.Summary, version int64) []byte {
	return AppendSummary(make([]byte, 0, 80), st, version)
}

// AppendSummary appends the text of st to b: eight numbers with spaces between them.
// They are version, State, Failure, Attempts, MayHaveExecuted (0 or 1), FirstSent,
// WindowStart and Takeovers. Times are nanoseconds since 1970.
func AppendSummary(b []byte, st journal.Summary, version int64) []byte {
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

// DecodeSummary decodes the text that AppendSummary made. It fails if text does not
// have eight numbers.
func DecodeSummary(text []byte) (journal.Summary, error) {
	var n [8]int64
	fields := strings.Fields(string(text))
	if len(fields) != len(n) {
		return journal.Summary{}, fmt.Errorf("a standing of %d fields", len(fields))
	}
	for i, f := range fields {
		v, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return journal.Summary{}, fmt.Errorf("a standing with %q", f)
		}
		n[i] = v
	}
	return journal.Summary{
		Version: int(n[0]), State: journal.State(n[1]), Failure: journal.Failure(n[2]), Attempts: int(n[3]), MayHaveExecuted: n[4] == 1,
		FirstSent: UnixTime(n[5]), WindowStart: UnixTime(n[6]), Takeovers: int(n[7]),
	}, nil
}

// EncodeAttempts returns the text of tries, or nil if there are none. See
// AppendAttempts.
func EncodeAttempts(tries []journal.Attempt) []byte {
	if len(tries) == 0 {
		return nil
	}
	return AppendAttempts(make([]byte, 0, 64*len(tries)), tries)
}

// AppendAttempts appends a line for each attempt to b: Number, At, Took and Status as
// numbers, then Reason and Err in quotes, with spaces between them.
func AppendAttempts(b []byte, tries []journal.Attempt) []byte {
	for _, t := range tries {
		for _, n := range [...]int64{int64(t.Number), nanos(t.At), int64(t.Took), int64(t.Status)} {
			b = append(strconv.AppendInt(b, n, 10), ' ')
		}
		b = append(strconv.AppendQuote(b, t.Reason), ' ')
		b = append(strconv.AppendQuote(b, t.Err), '\n')
	}
	return b
}

// DecodeAttempts decodes the text that AppendAttempts made. It fails if a line is not
// an attempt.
func DecodeAttempts(text []byte) ([]journal.Attempt, error) {
	var tries []journal.Attempt
	for line := range bytes.Lines(text) {
		var t journal.Attempt
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
		t.Number, t.At, t.Took, t.Status = int(number), UnixTime(at), time.Duration(took), int(status)
		tries = append(tries, t)
	}
	return tries, nil
}

// EncodeReplyHead returns the text of r without its status and body. See
// AppendReplyHead.
func EncodeReplyHead(r *journal.Reply) []byte { return AppendReplyHead(make([]byte, 0, 256), r) }

// AppendReplyHead appends the text of r without its status and body to b: a line with
// the protocol and, if the body was not kept, its size and hash, then the headers.
func AppendReplyHead(b []byte, r *journal.Reply) []byte {
	if !strings.ContainsAny(r.Proto, " \n") { // a transport other than net/http can set any text
		b = append(b, r.Proto...)
	}
	if r.Truncated() {
		b = append(b, ' ')
		b = strconv.AppendInt(b, r.Size, 10)
		b = fmt.Appendf(b, " %x", r.Hash)
	}
	return AppendLines(append(b, '\n'), r.Header, nil)
}

// DecodeReply returns the reply with this status and body, and the head that
// AppendReplyHead made. Header is never nil. It fails if head has a size or a hash
// that cannot be read.
func DecodeReply(status int64, head, body []byte) (*journal.Reply, error) {
	first, rest, _ := bytes.Cut(head, []byte("\n"))
	r := &journal.Reply{Status: int(status), Body: body, Size: int64(len(body))}
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
	r.Header, _ = DecodeLines(rest)
	if len(r.Header) == 0 {
		r.Header = http.Header{}
	}
	return r, nil
}

// IsToken reports whether s can be a method or a header's name.
func IsToken(s string) bool {
	for i := range len(s) {
		b := s[i]
		if b <= ' ' || b >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, b) >= 0 {
			return false
		}
	}
	return s != ""
}

// ControlIn returns the index of the first control character in s other than a tab,
// or -1 if there is none.
func ControlIn(s string) int {
	for i := range len(s) {
		if b := s[i]; (b < ' ' && b != '\t') || b == 0x7f {
			return i
		}
	}
	return -1
}
