package server

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/idem-go/idem"
)

// uncertain implements keeper. A row that is seen without a reply was committed by
// its handler and not by the middleware.
func (k *sqlKeeper) uncertain(ctx context.Context, cursor string) (page []Uncertain, next string, err error) {
	const query = `SELECT id, route, scope, client_key, request, begun, note FROM idem_keys
		WHERE ended = 0 AND (begun > ? OR (begun = ? AND id > ?)) ORDER BY begun, id LIMIT ?`
	after, last := int64(-1<<63), ""
	if cursor != "" {
		number, id, _ := strings.Cut(cursor, " ")
		if after, err = strconv.ParseInt(number, 10, 64); err != nil {
			return nil, "", fmt.Errorf("the cursor %q is not one of this store's", cursor)
		}
		last = id
	}
	rows, err := k.db.QueryContext(ctx, k.bind(query), after, after, last, uncertainPage)
	if err != nil {
		return nil, "", err
	}
	defer rows.Close()
	for rows.Next() {
		u := Uncertain{Why: "committed without a reply"}
		var route, scope []byte
		var id, note string
		var begun int64
		if err := rows.Scan(&id, &route, &scope, &u.Key, &u.Request, &begun, &note); err != nil {
			return nil, "", err
		}
		u.Route, u.Scope, u.Begun = string(route), string(scope), time.Unix(0, begun).UTC()
		if note != "" {
			u.Why += ": " + note
		}
		page = append(page, u)
		next = strconv.FormatInt(begun, 10) + " " + id
	}
	if len(page) < uncertainPage {
		next = ""
	}
	return page, next, rows.Err()
}

// resolve implements keeper.
func (k *sqlKeeper) resolve(ctx context.Context, id Identity, now time.Time, r idem.Resolution) error {
	var n int64
	var err error
	switch r.State {
	case idem.Succeeded:
		kept := resultReply(r.Result)
		if kept.body == nil {
			kept.body = []byte{}
		}
		n, err = k.changes(ctx, `UPDATE idem_keys SET ended = ?, status = ?, head = ?, body = ?, note = ? WHERE id = ? AND ended = 0`,
			now.UnixNano(), kept.status, encodeHeader(kept.header), kept.body, r.Note, rowID(id))
	case idem.Failed:
		n, err = k.changes(ctx, `DELETE FROM idem_keys WHERE id = ? AND ended = 0`, rowID(id))
	case idem.InDoubt:
		n, err = k.changes(ctx, `UPDATE idem_keys SET note = ? WHERE id = ? AND ended = 0`, r.Note, rowID(id))
	default:
		return errors.New("unknown state")
	}
	if err == nil && n == 0 {
		err = errNotUncertain
	}
	return err
}
