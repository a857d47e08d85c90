package contracts

import (
	"bytes"
	"encoding/json"
	"net/http"

	"github.com/idem-go/idem"
)

// graphQLReply is the body of an answer to a mutation.
type graphQLReply struct {
	Data   json.RawMessage `json:"data"` // nil: absent, which is not null
	Errors []graphQLError  `json:"errors"`
}

type graphQLError struct {
	Path       []json.RawMessage `json:"path"`
	Extensions struct {
		Code       string `json:"code"`
		ErrorClass string `json:"errorClass"`
		LegacyCode string `json:"legacyCode"`
	} `json:"extensions"`
}

// mutations are the answers of an operation's mutations, by name.
type mutations map[string]json.RawMessage

// graphQL is a Verdict over answers that are 200 whatever happened. kind is what
// one error means, data what an answer without errors does.
func graphQL(kind func(graphQLError) idem.Verdict, data func(mutations) idem.Verdict) func(*http.Response, []byte) idem.Verdict {
	return func(r *http.Response, body []byte) idem.Verdict {
		if r.StatusCode != http.StatusOK {
			return idem.ReplyUsual
		}
		var reply graphQLReply
		var answers mutations
		if json.Unmarshal(body, &reply) != nil || (reply.Data != nil && json.Unmarshal(reply.Data, &answers) != nil) {
			return idem.ReplyUnknown // no GraphQL server wrote this
		}
		switch {
		case len(reply.Errors) > 0 && answers.empty():
			return agreed(reply, kind)
		case len(reply.Errors) > 0 || answers.empty():
			return idem.ReplyUnknown
		}
		return data(answers)
	}
}

// agreed is what the errors of an answer without data prove, where all of them
// prove the same.
func agreed(reply graphQLReply, kind func(graphQLError) idem.Verdict) idem.Verdict {
	verdict := idem.ReplyUnknown
	for i, e := range reply.Errors {
		v := kind(e)
		// Data that is absent says that nothing was executed (GraphQL specification,
		// "Request Error Result"). Data that is null does not: a null deep inside an
		// answer blots out all above it, and only the path tells that a mutation ran.
		if ran := reply.Data != nil && len(e.Path) > 1; ran || (i > 0 && v != verdict) {
			return idem.ReplyUnknown
		}
		verdict = v
	}
	return verdict
}

// empty tells that no mutation gave anything back.
func (m mutations) empty() bool {
	for _, v := range m {
		if !isNull(v) {
			return false
		}
	}
	return true
}

func isNull(v json.RawMessage) bool { return bytes.Equal(bytes.TrimSpace(v), []byte("null")) }
