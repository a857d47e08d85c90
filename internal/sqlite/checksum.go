//go:build cgo

package sqlite

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/idem-go/idem/journal"
)

// A row's checksum notices that the disk changed it: SQLite does not.

// numbersSummed marks a checksum that covers the row's numbers too. Without the
// mark it is one of the first format, which summed the texts alone.
const numbersSummed = 1 << 32

// rowSum is the checksum of a row.
func rowSum(numbers []int64, texts ...[]byte) int64 {
	return sumOf(texts).with(numbers...)
}

// sumFits tells whether a row is what was written.
func sumFits(sum int64, numbers []int64, texts ...[]byte) bool {
	return sumOf(texts).fits(sum, numbers...)
}

// intentFits tells whether the beginning of an intent is what was written.
func intentFits(sum int64, r *journal.Record, kind, owner int64) bool {
	var s summer
	s.intent(r)
	return s.fits(sum, kind, owner)
}

// summer makes the checksum of a row, part by part.
type summer struct {
	sum   uint32
	space []byte // for what has to be bytes first
}

func sumOf(texts [][]byte) *summer {
	s := &summer{}
	for _, text := range texts {
		s.text(text)
	}
	return s
}

func (s *summer) add(b []byte) {
	s.sum = crc32.Update(s.sum, crc32.MakeTable(crc32.Castagnoli), b)
}

// text adds a text and the last byte of its length.
func (s *summer) text(b []byte) {
	length := byte(len(b))
	s.add(b)
	s.space = append(s.space[:0], length)
	s.add(s.space)
}

func (s *summer) string(text string) {
	s.space = append(s.space[:0], text...)
	s.text(s.space)
}

// intent adds what an intent's checksum covers besides its kind and owner.
func (s *summer) intent(r *journal.Record) {
	b := append(s.space[:0], r.Key...)
	for _, part := range [...]string{r.Operation.Scope, r.Operation.ID, r.Previous} {
		b = append(append(b, 0), part...)
	}
	for _, n := range [...]int64{int64(r.Operation.Repeat), r.Operation.Cost, r.CreatedAt.UnixNano(), int64(r.FingerprintVersion)} {
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	s.space = b
	s.text(b)
	s.text(r.Fingerprint[:])
	s.text(r.Head)
	s.text(r.Payload)
}

// with is the checksum, the row's numbers included.
func (s *summer) with(numbers ...int64) int64 {
	b := s.space[:0]
	for _, n := range numbers {
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	s.add(b)
	return numbersSummed | int64(s.sum)
}

// fits tells whether sum is the checksum of what was added and of these numbers.
func (s *summer) fits(sum int64, numbers ...int64) bool {
	if sum&numbersSummed == 0 {
		return sum == int64(s.sum)
	}
	return sum == s.with(numbers...)
}
