//go:build cgo

package sqlite

import (
	"crypto/rand"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
)

//go:embed schema.sql
var schema1 string

//go:embed schema_2.sql
var schema2 string

//go:embed schema_3.sql
var schema3 string

//go:embed schema_4.sql
var schema4 string

//go:embed schema_5.sql
var schema5 string

// schemas are the steps from no journal to this version's, each bringing it to the
// version of its place.
func schemas() []string { return []string{schema1, schema2, schema3, schema4, schema5} }

// migrate makes the tables, or brings older ones to this version, in one
// transaction that reads the version again under the lock.
func (s *Store) migrate() error {
	c := s.q.conn
	if err := c.exec("BEGIN IMMEDIATE"); err != nil {
		return plain(err)
	}
	err := s.migrateLocked(c)
	if err == nil {
		if err = c.exec("COMMIT"); err == nil {
			return s.tighten()
		}
	}
	if !c.raw.AutoCommit() {
		undo := c.exec("ROLLBACK")
		err = errors.Join(err, undo)
	}
	return plain(err)
}

func (s *Store) migrateLocked(c *conn) error {
	version, err := c.integer("PRAGMA user_version", 0)
	if err != nil {
		return err
	}
	if version == 0 {
		if err := s.locks.MayAdopt(); err != nil {
			return err
		}
	}
	for _, step := range schemas()[min(int(version), schemaVersion):] {
		if _, err := c.raw.Exec(step, nil); err != nil {
			return err
		}
	}
	if version == 0 {
		id := make([]byte, 16)
		if _, err := rand.Read(id); err != nil {
			return err
		}
		if err := c.exec(insertValue, valueID, []byte(hex.EncodeToString(id))); err != nil {
			return err
		}
		if err := c.exec(fmt.Sprintf("PRAGMA application_id = %d", applicationID)); err != nil {
			return err
		}
	}
	if version == schemaVersion {
		return nil
	}
	if version < 4 { // all places are in their table
		newest, err := c.integer(selectLast, 0)
		if err != nil {
			return err
		}
		if err := c.exec(insertValue, valuePlaced, []byte(placedTo{upTo: newest}.encode())); err != nil {
			return err
		}
	}
	return c.exec(fmt.Sprintf("PRAGMA user_version = %d", schemaVersion))
}
