package testkit

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// seen is what a witness reads of one intent: rows as they are on disk.
type seen struct {
	Key, Head, Payload string
	Kinds              []int64 // of its changes, oldest first
	Outcomes           int
}

// WitnessChild reads and bends a journal with a raw SQLite handle, from a process of its
// own: what it sees is what everybody but the writer sees.
//
//	read KEY   answers with what is there, or null
//	value NAME answers with a small named value in hex, or nothing
//	steal KEY  makes the intent's owner look dead to others: its place in the lock
//	           file gets a newer epoch, as if the lock had been lost
func WitnessChild(l *Link) error {
	var path string
	if err := l.Args(&path); err != nil {
		return err
	}
	for {
		what, key, _ := strings.Cut(l.Hear(), " ")
		db, err := OpenRaw(path)
		if err != nil {
			return err
		}
		switch what {
		case "read":
			var found *seen
			rows, err := db.Query(`SELECT i.id, i.key, i.head, i.payload FROM intents i WHERE i.key = ?`, key)
			if err != nil {
				return err
			}
			id := int64(0)
			for rows.Next() {
				if found != nil {
					return fmt.Errorf("two intents have the key %s", key)
				}
				found = &seen{}
				if err := rows.Scan(&id, &found.Key, &found.Head, &found.Payload); err != nil {
					return err
				}
			}
			if err := rows.Close(); err != nil {
				return err
			}
			if found != nil {
				if err := db.QueryRow(`SELECT count(*) FROM outcomes WHERE id / 4096 = ?`, id).Scan(&found.Outcomes); err != nil {
					return err
				}
				kinds, err := db.Query(`SELECT kind FROM changes WHERE intent = ? ORDER BY version`, id)
				if err != nil {
					return err
				}
				for kinds.Next() {
					var kind int64
					if err := kinds.Scan(&kind); err != nil {
						return err
					}
					found.Kinds = append(found.Kinds, kind)
				}
				if err := kinds.Close(); err != nil {
					return err
				}
			}
			text, err := json.Marshal(found)
			if err != nil {
				return err
			}
			l.Say("%s", text)
		case "value":
			var value []byte
			err := db.QueryRow(`SELECT value FROM vals WHERE name = ?`, key).Scan(&value)
			if err != nil && !errors.Is(err, sql.ErrNoRows) {
				return err
			}
			l.Say("%x", value)
		case "steal":
			if _, err := db.Exec(`UPDATE owners SET epoch = (SELECT max(epoch) + 1 FROM owners)
				WHERE slot = (SELECT owner & 255 FROM intents WHERE key = ?)`, key); err != nil {
				return err
			}
			l.Say("stolen")
		default:
			return fmt.Errorf("told to %q", what)
		}
		if err := db.Close(); err != nil {
			return err
		}
	}
}

// witness is a Witness of one journal.
type witness struct{ *Process }

func NewWitness(t testing.TB, path string) witness { return witness{StartChild(t, "Witness", path)} }

// Read is what is on disk of a key; nil: nothing.
func (w witness) Read(key string) *seen {
	w.Tell("read " + key)
	var found *seen
	require.NoError(w.t, json.Unmarshal([]byte(w.Hear()), &found))
	return found
}

// Steal makes the owner of a key look dead to others.
func (w witness) Steal(key string) {
	w.Tell("steal " + key)
	w.Expect("stolen")
}

// Value is a small named value in hex; empty: there is none.
func (w witness) Value(name string) string {
	w.Tell("value " + name)
	return w.Hear()
}
