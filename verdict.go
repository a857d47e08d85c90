package idem

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/idem-go/idem/internal/lifecycle"
	"github.com/idem-go/idem/journal"
)

// judge is what one whole reply proves: the contract first, then the usual table.
func judge(asksJSON bool, c Contract, resp *http.Response, reply *journal.Reply) lifecycle.Evidence {
	stored := c.Replayed != "" && strings.EqualFold(resp.Header.Get(c.Replayed), "true")
	e := lifecycle.Evidence{Stored: stored, Reason: "http 200"}
	if resp.StatusCode != http.StatusOK {
		e.Reason = "http " + strconv.Itoa(resp.StatusCode)
	}
	if reply.Truncated() {
		// Nothing but its status can be read.
		e.Result = lifecycle.Unknown
		if resp.StatusCode >= 200 && resp.StatusCode < 300 {
			e.Result = usual(asksJSON, resp)
		}
		return e
	}
	switch v := c.verdict(resp, reply.Body); v {
	case ReplyDone:
		e.Result = lifecycle.Done
	case ReplyRefused:
		e.Result = lifecycle.Refused
	case ReplyLater:
		e.Result = lifecycle.RetryLater
	case ReplyInFlight:
		e.Result, e.Reason = lifecycle.InFlight, e.Reason+" in flight"
	case ReplyMismatch:
		e.Result, e.Reason = lifecycle.Mismatch, e.Reason+" mismatch"
	case ReplyUsual:
		e.Result = usual(asksJSON, resp)
	default:
		e.Result = lifecycle.Unknown
	}
	return e
}

// usual is the table for replies that the contract has no verdict for.
func usual(asksJSON bool, resp *http.Response) lifecycle.AttemptResult {
	switch code := resp.StatusCode; code {
	case 200, 201, 202, 204:
		if asksJSON && isHTML(resp.Header) {
			return lifecycle.Unknown // a portal or proxy answered in the server's place
		}
		return lifecycle.Done
	case 401, 403:
		return lifecycle.RefusedTransient
	case 425, 429:
		return lifecycle.RetryLater
	case 400, 402, 404, 405, 406, 410, 411, 413, 414, 415, 417, 421, 422, 426, 428, 431:
		return lifecycle.Refused
	}
	return lifecycle.Unknown
}

func isHTML(h http.Header) bool {
	return strings.HasPrefix(strings.ToLower(strings.TrimSpace(h.Get("Content-Type"))), "text/html")
}
