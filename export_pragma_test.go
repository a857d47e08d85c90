package idem

import "context"

// Pragma sets a pragma of the connection that writes, when it is that write's turn.
func Pragma(c *Client, text string) error {
	return c.journal.(*sqliteJournal).q.commit(context.Background(), func(c *conn) error {
		return c.query("PRAGMA "+text, func([]value) error { return nil })
	})
}
