package idem

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/idem-go/idem/internal/fingerprint"
)

// decodeStrict decodes arguments that fit the type exactly: a field that is not
// read would be a wish that is not granted.
func decodeStrict(input []byte, into any) error {
	if len(bytes.TrimSpace(input)) == 0 {
		return errors.New("there are none: without arguments, send {}")
	}
	d := json.NewDecoder(bytes.NewReader(input))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if d.More() {
		return errors.New("there is more than one JSON value")
	}
	return nil
}

// decodeAgain is a journaled input as today's type has it. A type that does not
// keep all of it is an error; a field that it has got since is none.
func (e *toolEntry) decodeAgain(journaled []byte) ([]byte, error) {
	input, err := e.decode(journaled)
	if err != nil {
		return nil, err
	}
	was, okWas := fingerprint.CanonicalJSON(journaled, nil)
	is, okIs := fingerprint.CanonicalJSON(input, nil)
	if !okWas || !okIs {
		if bytes.Equal(journaled, input) {
			return input, nil
		}
		return nil, errors.New("it comes out as other JSON")
	}
	a, errA := decodeAny(was)
	b, errB := decodeAny(is)
	if errA != nil || errB != nil {
		return nil, errors.Join(errA, errB)
	}
	if at, lost := lostValue(a, b, ""); lost {
		return nil, fmt.Errorf("JSON field %s comes out as another value", fingerprint.QuoteName(at))
	}
	return input, nil
}

// decodeAny is any JSON, its numbers as they are written.
func decodeAny(text []byte) (value any, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	err = d.Decode(&value)
	return value, err
}

// lostValue is the pointer of the first value of was that is does not hold. More
// fields than was has are no loss.
func lostValue(was, is any, at string) (string, bool) {
	switch was := was.(type) {
	case map[string]any:
		is, ok := is.(map[string]any)
		if !ok {
			return at, true
		}
		for _, name := range slices.Sorted(maps.Keys(was)) {
			pointer := at + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
			value, ok := is[name]
			if !ok {
				return pointer, true
			}
			if lost, yes := lostValue(was[name], value, pointer); yes {
				return lost, true
			}
		}
		return "", false
	case []any:
		is, ok := is.([]any)
		if !ok || len(is) != len(was) {
			return at, true
		}
		for i := range was {
			if lost, yes := lostValue(was[i], is[i], fmt.Sprintf("%s/%d", at, i)); yes {
				return lost, true
			}
		}
		return "", false
	}
	return at, was != is
}

func validJSON(b []byte) bool { return jsontext.Value(b).IsValid() }
