//go:build cgo

package sqlite

import (
	"context"
	"errors"

	"github.com/idem-go/idem/journal"
)

// pool is a few connections that read, opened when they are first needed. More
// callers than connections wait for one.
type pool struct {
	dsn   string
	slots chan struct{}
	idle  chan *conn
}

const poolSize = 4

func newPool(dsn string) *pool {
	return &pool{dsn: dsn, slots: make(chan struct{}, poolSize), idle: make(chan *conn, poolSize)}
}

func (p *pool) take() (*conn, error) {
	select {
	case c := <-p.idle:
		return c, nil
	default:
	}
	c, err := openConn(p.dsn)
	if err != nil {
		return nil, err
	}
	if err := readBack(c); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

// close closes what nobody uses; it is called when nobody uses any.
func (p *pool) close() error {
	var errs []error
	for {
		select {
		case c := <-p.idle:
			errs = append(errs, c.close())
		default:
			return errors.Join(errs...)
		}
	}
}

// read borrows a connection that reads.
func (s *Store) read(use func(c *conn) error) error {
	if err := s.waitHere(context.Background(), s.readers.slots, "the connections that read"); err != nil {
		return err
	}
	defer func() { <-s.readers.slots }()
	c, err := s.readers.take()
	if err != nil {
		return plain(err)
	}
	err = use(c)
	s.readers.idle <- c
	return plain(err)
}

// holding is an intent that this opener owns.
type holding struct {
	id       int64
	identity int64 // its hash; 0: it has no ID, or was begun by another opener
}

func identityOf(op journal.Operation) int64 {
	if op.ID == "" {
		return 0
	}
	return identityHash(op)
}
