package idem

import (
	"crypto/cipher"
	"net/http"
)

// What the journal's rows are encoded and decoded with, under exported names.

// StandingRow encodes a standing and decodes it again.
func StandingRow(st Summary) (Summary, error) {
	return decodeStanding(encodeStanding(st, int64(st.Version)))
}

// DecodeStanding is decodeStanding.
func DecodeStanding(text []byte) (Summary, error) { return decodeStanding(text) }

// TriesRow encodes attempts and decodes them again.
func TriesRow(tries []Attempt) ([]Attempt, error) { return decodeTries(encodeTries(tries)) }

// DecodeTries is decodeTries.
func DecodeTries(text []byte) ([]Attempt, error) { return decodeTries(text) }

// ReplyRow encodes a reply and decodes it again.
func ReplyRow(r *Reply) (*Reply, error) {
	return decodeReplyRow(int64(r.Status), encodeReplyHead(r), r.Body)
}

// DecodeReplyRow is decodeReplyRow.
func DecodeReplyRow(status int64, head, body []byte) (*Reply, error) {
	return decodeReplyRow(status, head, body)
}

// HeadRow is a request's head as the journal has it, and that head read and written
// again.
func HeadRow(req *http.Request, p Policy) (first, again []byte, err error) {
	h, _, _, err := readFor(req, p)
	if err != nil {
		return nil, nil, err
	}
	first = h.encode()
	read, err := decodeHead(first)
	if err != nil {
		return first, nil, err
	}
	return first, read.encode(), nil
}

// DecodeHead reads a head and writes it again.
func DecodeHead(text []byte) ([]byte, error) {
	h, err := decodeHead(text)
	if err != nil {
		return nil, err
	}
	return h.encode(), nil
}

// CutParts takes as many framed parts off as there are, and frames them again.
func CutParts(b []byte) (parts []string, again []byte) {
	for len(b) > 0 {
		part, rest, ok := cutPart(b)
		if !ok {
			break
		}
		parts, b = append(parts, string(part)), rest
	}
	for _, part := range parts {
		again = appendPart(again, []byte(part))
	}
	return parts, again
}

// SealWith and OpenWith seal and open one value of the journal, bound to a key and a
// column.
func SealWith(aead cipher.AEAD, plain []byte, key, column string) ([]byte, error) {
	return sealWith(aead, plain, bound(key, column))
}

// OpenWith is the reverse of SealWith.
func OpenWith(aead cipher.AEAD, sealed []byte, key, column string) ([]byte, error) {
	return openWith(aead, sealed, bound(key, column))
}
