//go:build cgo

package sqlite

import (
	"context"
	"fmt"

	"github.com/idem-go/idem/internal/lockfile"

	"github.com/idem-go/idem/journal"
)

// An owner is a slot of the lock file and an epoch: epoch * 256 + slot. It is dead
// when its slot's lock can be had, or when the slot has a newer epoch.

const (
	nextEpoch = `INSERT INTO owners (slot, epoch) VALUES (?, (SELECT coalesce(max(epoch), 0) + 1 FROM owners))
		ON CONFLICT (slot) DO UPDATE SET epoch = excluded.epoch`
	slotEpoch = `SELECT epoch FROM owners WHERE slot = ?`
)

// own takes a free slot and makes a new epoch of it durable, once, before this
// opener's first write. An opener that only reads takes none.
func (s *Store) own(ctx context.Context) error {
	if s.me() != 0 {
		return nil
	}
	if err := s.waitHere(ctx, s.owning, "the first write of this process"); err != nil {
		return err
	}
	defer func() { <-s.owning }()
	if s.me() != 0 {
		return nil
	}
	slot, owner := int64(-1), int64(0)
	err := s.q.commit(ctx, func(c *conn) (err error) {
		if slot, err = s.takeSlot(c); err != nil {
			return err
		}
		epoch, err := c.integer(slotEpoch, 0, slot)
		owner = epoch<<8 | slot
		return err
	})
	if err != nil {
		if slot >= 0 {
			s.locks.Unlock(lockfile.FirstOwnerSlot + slot)
		}
		return err
	}
	s.mu.Lock()
	s.owner = owner
	s.mu.Unlock()
	return nil
}

func (s *Store) me() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.owner
}

// takeSlot locks a slot and writes its new epoch.
func (s *Store) takeSlot(c *conn) (int64, error) {
	for slot := int64(0); slot < lockfile.OwnerSlots; slot++ {
		ok, err := s.locks.Try(lockfile.FirstOwnerSlot + slot)
		if err != nil {
			return 0, fmt.Errorf("the lock file %s: %w", s.locks.Path(), err)
		}
		if !ok {
			continue
		}
		if err := c.change(nextEpoch, slot); err != nil {
			s.locks.Unlock(lockfile.FirstOwnerSlot + slot)
			return 0, err
		}
		return slot, nil
	}
	return 0, fmt.Errorf("%d processes have this journal open for writing, which is as many as can", lockfile.OwnerSlots)
}

// ownership says who an owner is, as seen from here.
func (s *Store) ownership(c *conn, owner int64) (journal.Ownership, error) {
	if owner == 0 {
		return journal.Unowned, nil
	}
	mine := s.me()
	slot, epoch := owner&0xff, owner>>8
	switch {
	case owner == mine:
		return journal.OwnedBySelf, nil
	case mine != 0 && slot == mine&0xff:
		return journal.OwnedByDead, nil // the slot is ours now
	}
	newest, err := c.integer(slotEpoch, 0, slot)
	if err != nil {
		return journal.Unowned, err
	}
	if newest != epoch {
		return journal.OwnedByDead, nil
	}
	held, err := s.locks.Held(lockfile.FirstOwnerSlot + slot)
	if err != nil {
		return journal.Unowned, fmt.Errorf("the lock file %s: %w", s.locks.Path(), err)
	}
	if held {
		return journal.OwnedByLive, nil
	}
	return journal.OwnedByDead, nil
}

// turn waits until this process may take SQLite's write lock, which is what makes
// many processes fair to each other: whoever waits for the write lock holds the
// turn, so nobody overtakes it. It checks that the files are still the ones that
// were opened, which costs two stats.
func (s *Store) turn(ctx context.Context) (func(), error) {
	if err := s.same(); err != nil {
		return nil, err
	}
	return s.waitSlot(ctx, lockfile.WriterQueueSlot, "the queue of the journal's writers")
}
