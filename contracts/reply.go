package contracts

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/idem-go/idem"
)

// unstated is the retention taken where a provider honours keys but does not say
// for how long: long enough for every retry of a call and for a restart, short
// enough that nobody forgets so soon.
const unstated = time.Hour

// verdicts gives an error code its meaning.
type verdicts map[string]idem.Verdict

// byCode is a Verdict that looks up the error codes found at the paths of a JSON
// reply, in their order. Replies below 400, and codes that the table does not
// have, are left to the usual table.
func byCode(table verdicts, paths ...string) func(*http.Response, []byte) idem.Verdict {
	return func(r *http.Response, body []byte) idem.Verdict {
		if r.StatusCode < http.StatusBadRequest {
			return idem.ReplyUsual
		}
		for _, code := range texts(body, paths...) {
			if v, ok := table[code]; ok {
				return v
			}
		}
		return idem.ReplyUsual
	}
}

// texts are the strings and numbers of a JSON document at some paths, each a
// list of names between slashes; "*" stands for every element of an array. A
// body that is not one JSON document has none.
func texts(body []byte, paths ...string) []string {
	var doc any
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if d.Decode(&doc) != nil || d.More() {
		return nil
	}
	var found []string
	for _, path := range paths {
		found = appendTexts(found, doc, strings.Split(path, "/"))
	}
	return found
}

func appendTexts(found []string, v any, path []string) []string {
	if len(path) == 0 {
		switch v := v.(type) {
		case string:
			found = append(found, v)
		case json.Number:
			found = append(found, v.String())
		}
		return found
	}
	switch v := v.(type) {
	case map[string]any:
		if member, ok := v[path[0]]; ok {
			return appendTexts(found, member, path[1:])
		}
	case []any:
		if path[0] == "*" {
			for _, element := range v {
				found = appendTexts(found, element, path[1:])
			}
		}
	}
	return found
}

// anyUUID refuses what is not a UUID in its usual 36 characters.
func anyUUID(key string) error {
	_, err := parseUUID(key)
	return err
}

// randomUUID refuses what is not a UUIDv4.
func randomUUID(key string) error {
	id, err := parseUUID(key)
	if err == nil && (id.Version() != 4 || id.Variant() != uuid.RFC4122) {
		err = errors.New("it is a UUID, but not of version 4")
	}
	return err
}

func parseUUID(key string) (uuid.UUID, error) {
	id, err := uuid.Parse(key)
	switch {
	case err != nil || len(key) != 36:
		return id, errors.New("it is not a UUID of 36 characters")
	case id == uuid.Nil:
		return id, errors.New("it is the UUID of zeros, which stands for none")
	}
	return id, nil
}
