package wire

import (
	"bytes"
	"net/http"
	"strconv"

	"github.com/idem-go/idem/journal"
)

// replyBody is a recorded reply's body.
type replyBody struct{ bytes.Reader }

func (*replyBody) Close() error { return nil }

// response makes an http.Response out of a recorded reply.
func Response(r *journal.Reply, req *http.Request) *http.Response {
	whole := &struct { // in one piece
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

// statusLine is a status as http.Response.Status has it.
func statusLine(code int) string {
	if code == http.StatusOK {
		return "200 OK" // as most are
	}
	line := strconv.Itoa(code)
	if text := http.StatusText(code); text != "" {
		line += " " + text
	}
	return line
}
