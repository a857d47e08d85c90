package server

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// reply is what is kept of a handler's answer, and what is sent: the same bytes
// each time.
type reply struct {
	status int
	header http.Header // what the handler set; trailers under trailerPrefix
	body   []byte

	live http.Header // only for the caller who is there: cookies are never kept
}

// trailerPrefix marks a trailer among the headers that are kept. Unlike
// http.TrailerPrefix it makes a name that a store may take for a header's.
const trailerPrefix = "Idem-Trailer."

// send writes the reply, with how it came about.
func (r *reply) send(w http.ResponseWriter, status string) {
	h := w.Header()
	for name, values := range r.header {
		if bare, ok := strings.CutPrefix(name, trailerPrefix); ok {
			name = http.TrailerPrefix + bare
		}
		h[name] = slices.Clone(values)
	}
	for name, values := range r.live {
		h[name] = slices.Clone(values)
	}
	if _, ok := r.header["Content-Type"]; !ok {
		h["Content-Type"] = nil // the handler wished none: no guessing
	}
	h.Set(StatusHeader, status)
	if status == StatusReplayed {
		h.Set(ReplayedHeader, "true")
	} else {
		h.Del(ReplayedHeader)
	}
	h.Del("Content-Length")
	if hasBody(r.status) && !r.hasTrailers() {
		h.Set("Content-Length", strconv.Itoa(len(r.body)))
	}
	w.WriteHeader(r.status)
	if len(r.body) > 0 {
		w.Write(r.body) // a caller who is gone asks again and gets it then
	}
}

func (r *reply) hasTrailers() bool {
	for name := range r.header {
		if strings.HasPrefix(name, trailerPrefix) {
			return true
		}
	}
	return false
}

// hasBody tells whether a status goes with a body.
func hasBody(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

// ownHeader tells whether a header is never the handler's: the middleware's, and
// the connection's.
func ownHeader(name string) bool {
	switch name = http.CanonicalHeaderKey(name); name {
	case StatusHeader, ReplayedHeader, "Content-Length", "Transfer-Encoding", "Keep-Alive",
		"Proxy-Connection", "Upgrade", "Trailer", "Te":
		return true
	}
	return strings.HasPrefix(name, trailerPrefix) || strings.HasPrefix(name, http.TrailerPrefix)
}

// liveHeader names what the caller who is there gets and no other: what a later
// caller gets must not be a secret of the first, nor end its connection.
func liveHeader(name string) bool {
	name = http.CanonicalHeaderKey(name)
	return name == "Set-Cookie" || name == "Connection"
}

// changed is what a handler made of the headers that it found: what is kept, and
// what goes to the present caller only.
func changed(found, left http.Header) (kept, live http.Header) {
	kept = http.Header{}
	for name, values := range left {
		if ownHeader(name) || !token(name) || slices.Equal(values, found[name]) || len(values) == 0 {
			continue
		}
		clean := make([]string, len(values))
		for i, v := range values {
			clean[i] = oneLine(v)
		}
		if liveHeader(name) {
			if live == nil {
				live = http.Header{}
			}
			live[name] = clean
			continue
		}
		kept[name] = clean
	}
	return kept, live
}

// oneLine is a header's value as net/http would send it.
func oneLine(v string) string {
	return strings.Trim(strings.NewReplacer("\n", " ", "\r", " ").Replace(v), " \t")
}

// token tells whether net/http would send a header of this name.
func token(name string) bool {
	for i := range len(name) {
		b := name[i]
		switch {
		case b >= 'a' && b <= 'z', b >= 'A' && b <= 'Z', b >= '0' && b <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", b) >= 0:
		default:
			return false
		}
	}
	return name != ""
}
