package idemtest

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// param is one request parameter, nested ones flattened as in a form:
// metadata[order].
type param struct {
	Name  string `json:"n"`
	Value string `json:"v"`
}

type params []param

// parseParams reads the query and the body into one sorted list. Values under
// the same name keep their order.
func parseParams(contentType, rawQuery string, body []byte) (params, error) {
	out, err := parseForm(rawQuery)
	if err != nil {
		return nil, fmt.Errorf("the query is not a form: %w", err)
	}
	if len(body) > 0 {
		media, _, err := mime.ParseMediaType(contentType)
		if err != nil {
			media = contentType
		}
		var fromBody params
		switch media {
		case "application/x-www-form-urlencoded":
			fromBody, err = parseForm(string(body))
		case "application/json":
			fromBody, err = parseJSON(body)
		default:
			err = fmt.Errorf("Content-Type %q is neither application/x-www-form-urlencoded nor application/json", contentType)
		}
		if err != nil {
			return nil, err
		}
		out = append(out, fromBody...)
	}
	slices.SortStableFunc(out, func(a, b param) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

// parseForm keeps the order of the form, which url.ParseQuery loses.
func parseForm(text string) (params, error) {
	var out params
	for pair := range strings.SplitSeq(text, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		n, err := url.QueryUnescape(name)
		if err != nil {
			return nil, err
		}
		v, err := url.QueryUnescape(value)
		if err != nil {
			return nil, err
		}
		out = append(out, param{n, v})
	}
	return out, nil
}

func parseJSON(body []byte) (params, error) {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber() // 9007199254740993 stays itself
	var top map[string]any
	if err := dec.Decode(&top); err != nil {
		return nil, fmt.Errorf("the body is not a JSON object: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("the body goes on after its JSON object")
	}
	var out params
	for name, v := range top {
		out = flatten(out, name, v)
	}
	return out, nil
}

func flatten(out params, name string, v any) params {
	switch v := v.(type) {
	case map[string]any:
		for k, inner := range v {
			out = flatten(out, name+"["+k+"]", inner)
		}
	case []any:
		for i, inner := range v {
			out = flatten(out, name+"["+strconv.Itoa(i)+"]", inner)
		}
	case nil:
		out = append(out, param{name, ""})
	default:
		out = append(out, param{name, fmt.Sprint(v)})
	}
	return out
}

func (p params) get(name string) (string, bool) {
	for _, each := range p {
		if each.Name == name {
			return each.Value, true
		}
	}
	return "", false
}

// asMap is for ledgers: values under the same name are joined by commas.
func (p params) asMap() map[string]string {
	out := make(map[string]string, len(p))
	for _, each := range p {
		if old, ok := out[each.Name]; ok {
			out[each.Name] = old + "," + each.Value
			continue
		}
		out[each.Name] = each.Value
	}
	return out
}

// metadata returns what stands under metadata[name].
func (p params) metadata() map[string]string {
	out := make(map[string]string)
	for _, each := range p {
		if inner, ok := strings.CutPrefix(each.Name, "metadata["); ok && strings.HasSuffix(inner, "]") {
			out[strings.TrimSuffix(inner, "]")] = each.Value
		}
	}
	return out
}

// hash is what a second request under a key is compared by.
func (p params) hash(method, path string) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q\n", method, path)
	for _, each := range p {
		fmt.Fprintf(h, "%q=%q\n", each.Name, each.Value)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func hashBytes(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
