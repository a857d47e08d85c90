//go:build cgo

package idem

import (
	"encoding/binary"
	"hash/crc32"
)

// A row's checksum notices that the disk changed it: SQLite does not.

// numbersSummed marks a checksum that covers the row's numbers too. Without the
// mark it is one of the first format, which summed the texts alone.
const numbersSummed = 1 << 32

// rowSum is the checksum of a row.
func rowSum(numbers []int64, texts ...[]byte) int64 {
	var space [64]byte
	b := space[:0]
	for _, n := range numbers {
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	sum := sumTexts(0, texts)
	return numbersSummed | int64(crc32.Update(sum, castagnoli(), b))
}

// sumFits tells whether a row is what was written.
func sumFits(sum int64, numbers []int64, texts ...[]byte) bool {
	if sum&numbersSummed == 0 {
		return sum == int64(sumTexts(0, texts))
	}
	return sum == rowSum(numbers, texts...)
}

func sumTexts(sum uint32, texts [][]byte) uint32 {
	table := castagnoli()
	for _, text := range texts {
		sum = crc32.Update(sum, table, text)
		sum = crc32.Update(sum, table, []byte{byte(len(text))})
	}
	return sum
}

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// intentTexts is what an intent's checksum covers besides its kind and owner.
func intentTexts(r *Record) [][]byte {
	var b []byte
	b = append(b, r.Key...)
	for _, part := range [...]string{r.Operation.Scope, r.Operation.ID, r.Previous} {
		b = append(append(b, 0), part...)
	}
	for _, n := range [...]int64{int64(r.Operation.Repeat), r.Operation.Cost, r.Begun.UnixNano(), int64(r.Rules)} {
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	return [][]byte{b, r.Fingerprint[:], r.Head, r.Payload}
}
