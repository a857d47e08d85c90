//go:build cgo

package sqlite

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strconv"

	"github.com/idem-go/idem/internal/lockfile"
)

// A witness is the last row that an owner committed, noted in its slot's place of
// the lock file after the commit: a journal that does not hold the row has lost
// what it acknowledged. Its log was deleted, cut or damaged, which SQLite takes for
// an older journal and does not report, or an older copy was put in its place.
//
// A witness is not synced: after a power loss it may be an older one, or none,
// never a newer one than the journal. It costs one small write into memory.

const (
	witnessesAt  = 8192 // behind the text of the lock file, and behind what Windows locks
	witnessSpace = 32
	witnessSize  = 20 // intent, version, checksum
)

// rowMark is one row: the beginning of an intent, or a change of it.
type rowMark struct{ intent, version int64 }

// encode ties the mark to its journal and slot, so that no other file's bytes, and
// no part of a record, are taken for one.
func (m rowMark) encode(journal string, slot int64) []byte {
	b := make([]byte, 0, witnessSpace)
	b = binary.BigEndian.AppendUint64(b, uint64(m.intent))
	b = binary.BigEndian.AppendUint64(b, uint64(m.version))
	tied := strconv.AppendInt(append(b[:len(b):len(b)], journal...), slot, 10)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(tied, crc32.MakeTable(crc32.Castagnoli)))
}

// noteWitness notes what a transaction wrote last. An older witness proves less,
// so that an error here loses nothing and stops nobody.
func (s *Store) noteWitness(m rowMark) {
	me := s.me()
	if m.intent == 0 || me == 0 {
		return
	}
	slot := me & 0xff
	s.locks.WriteAt(m.encode(s.id, slot), witnessesAt+slot*witnessSpace)
}

// checkWitnesses refuses a journal that has lost rows. The witnesses are read
// before the journal, which other processes may be writing to.
func (s *Store) checkWitnesses() error {
	all := make([]byte, lockfile.OwnerSlots*witnessSpace)
	if _, err := s.locks.ReadAt(all, witnessesAt); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("the lock file: %w", err)
	}
	for slot := range int64(lockfile.OwnerSlots) {
		record := all[slot*witnessSpace:][:witnessSize]
		m := rowMark{int64(binary.BigEndian.Uint64(record)), int64(binary.BigEndian.Uint64(record[8:]))}
		if m.intent == 0 || string(m.encode(s.id, slot)) != string(record) {
			continue // none, or what a power loss left of one
		}
		if there, err := s.hasRow(s.q.conn, m); err != nil {
			return plain(err)
		} else if !there {
			return fmt.Errorf("the journal is older than what was acknowledged: row %d of intent number %d is missing from it; its log %s-wal was deleted, cut or damaged, or an older copy of the journal was put here: put the files back as they were; where the older copy is wanted, stop every process that uses it, find out at the far side what was done since, and cut the lock file to its first 32 bytes",
				m.version, m.intent, s.path)
		}
	}
	return nil
}

// hasRow tells whether a row is there, or was pruned with all of its intent.
func (s *Store) hasRow(c *conn, m rowMark) (bool, error) {
	begun, err := c.integer(selectBegunBy, 0, m.intent)
	if err != nil {
		return false, err
	}
	if begun == 0 { // the newest intent is never dropped
		newest, err := c.integer(selectLast, 0)
		return newest > m.intent, err
	}
	top, err := c.integer(selectTop, 0, m.intent)
	return top >= m.version, err
}
