package idemtest

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// object is one resource.
type object struct {
	ID       string            `json:"id"`
	Kind     string            `json:"kind"`
	Created  int64             `json:"created"`
	Params   map[string]string `json:"params,omitempty"` // top-level ones
	Metadata map[string]string `json:"metadata,omitempty"`
	Deleted  bool              `json:"deleted,omitempty"`
}

// kindOf maps a path's collection to the kind of its resources and the prefix
// of their ids; Stripe's own.
func kindOf(collection string) (kind, prefix string, ok bool) {
	switch collection {
	case "invoices":
		return "invoice", "in_", true
	case "charges":
		return "charge", "ch_", true
	case "refunds":
		return "refund", "re_", true
	case "customers":
		return "customer", "cus_", true
	}
	return "", "", false
}

// merge applies a request's parameters. An empty metadata value removes the
// name, as at Stripe.
func (o *object) merge(p params) {
	if o.Params == nil {
		o.Params = make(map[string]string)
	}
	if o.Metadata == nil {
		o.Metadata = make(map[string]string)
	}
	for _, each := range p {
		if !strings.Contains(each.Name, "[") {
			o.Params[each.Name] = each.Value
		}
	}
	for name, value := range p.metadata() {
		if value == "" {
			delete(o.Metadata, name)
			continue
		}
		o.Metadata[name] = value
	}
}

func (o *object) clone() *object {
	c := *o
	c.Params, c.Metadata = maps.Clone(o.Params), maps.Clone(o.Metadata)
	return &c
}

// render writes the resource as JSON, id first and names sorted, so that the
// same resource is always the same bytes.
func (o *object) render() json.RawMessage {
	var b bytes.Buffer
	b.WriteString(`{"id":` + quote(o.ID) + `,"object":` + quote(o.Kind))
	if o.Deleted {
		b.WriteString(`,"deleted":true}`)
		return b.Bytes()
	}
	b.WriteString(`,"created":` + strconv.FormatInt(o.Created, 10))
	for _, name := range slices.Sorted(maps.Keys(o.Params)) {
		switch name {
		case "id", "object", "created", "metadata":
			continue
		}
		value := quote(o.Params[name])
		if name == "amount" {
			value = o.Params[name] // validated: a positive integer
		}
		b.WriteString("," + quote(name) + ":" + value)
	}
	meta, _ := json.Marshal(o.Metadata) // a map of strings always marshals
	if o.Metadata == nil {
		meta = []byte("{}")
	}
	b.WriteString(`,"metadata":`)
	b.Write(meta)
	b.WriteString("}")
	return b.Bytes()
}

func quote(s string) string {
	b, _ := json.Marshal(s) // a string always marshals
	return string(b)
}

// matches reports whether every metadata parameter of a search is met, and
// every other parameter equals the resource's.
func (o *object) matches(p params) bool {
	for name, value := range p.metadata() {
		if have, ok := o.Metadata[name]; !ok || have != value {
			return false
		}
	}
	for _, each := range p {
		if strings.Contains(each.Name, "[") || each.Name == "limit" {
			continue
		}
		if o.Params[each.Name] != each.Value {
			return false
		}
	}
	return true
}

// target is what a path means.
type target struct {
	kind, prefix, id string
	action           string // create, update, delete, get, search
}

// route reads method and path. A refusal is the reply to give.
func route(method, path string) (target, *reply) {
	rest, ok := strings.CutPrefix(path, "/v1/")
	collection, id, _ := strings.Cut(rest, "/")
	kind, prefix, known := kindOf(collection)
	if !ok || !known || strings.Contains(id, "/") {
		return target{}, apiError(404, "invalid_request_error", "", "", "Unrecognized request URL ("+method+": "+path+").")
	}
	t := target{kind: kind, prefix: prefix, id: id}
	switch {
	case method == "POST" && id == "":
		t.action = "create"
	case method == "POST":
		t.action = "update"
	case method == "DELETE" && id != "":
		t.action = "delete"
	case (method == "GET" || method == "HEAD") && id != "":
		t.action = "get"
	case method == "GET" || method == "HEAD":
		t.action = "search"
	default:
		return target{}, apiError(405, "invalid_request_error", "", "", method+" is not allowed on "+path+".")
	}
	return t, nil
}

// validate checks the parameters of an unsafe request. A refusal is the reply
// to give; nothing is stored for it.
func (t target) validate(p params) *reply {
	if t.action == "delete" {
		return nil
	}
	amount, given := p.get("amount")
	needed := t.action == "create" && (t.kind == "invoice" || t.kind == "charge")
	if needed && !given {
		return apiError(400, "invalid_request_error", "amount", "parameter_missing", "Missing required param: amount.")
	}
	if n, err := strconv.ParseInt(amount, 10, 64); given && (err != nil || n <= 0 || amount != strconv.FormatInt(n, 10)) {
		return apiError(400, "invalid_request_error", "amount", "parameter_invalid_integer", "Invalid positive integer.")
	}
	currency, given := p.get("currency")
	if needed && !given {
		return apiError(400, "invalid_request_error", "currency", "parameter_missing", "Missing required param: currency.")
	}
	if given && !currencyCode(currency) {
		return apiError(400, "invalid_request_error", "currency", "parameter_invalid_string", "Invalid currency: three letters are needed.")
	}
	return nil
}

func currencyCode(s string) bool {
	if len(s) != 3 {
		return false
	}
	for _, c := range s {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}
