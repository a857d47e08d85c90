package wire

import (
	"bytes"
	"net/http"
	"strconv"

	"github.com/idem-go/idem/journal"
)

// replyBody is the body of a recorded reply.
type replyBody struct{ bytes.Reader }

// Close does nothing.
func (*replyBody) Close() error { return nil }

// Response returns a recorded reply as an http.Response to req, which may be nil. It
// shares the body's bytes with r, which the response only reads.
func Response(r *journal.Reply, req *http.Request) *http.Response {
	whole := &struct { // one allocation
		resp http.Response
		body replyBody
	}{resp: http.Response{
		Status: statusLine(r.Status), StatusCode: r.Status, Proto: r.Proto, Header: r.Header.Clone(),
		ContentLength: int64(len(r.Body)), Request: req,
	}}
	resp := &whole.resp
	whole.body.Reset(r.Body)
	resp.Body = &whole.body
	if resp.Header == nil {
		resp.Header = http.Header{}
	}
	if major, minor, ok := http.ParseHTTPVersion(r.Proto); ok {
		resp.ProtoMajor, resp.ProtoMinor = major, minor
	}
	return resp
}

// statusLine returns the text of http.Response.Status for a status code.
func statusLine(code int) string {
	if code == http.StatusOK {
		return "200 OK" // the most frequent one
	}
	line := strconv.Itoa(code)
	if text := http.StatusText(code); text != "" {
		line += " " + text
	}
	return line
}
