package contracts_test

import (
	"fmt"
	"testing"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/contracts"
	"github.com/stretchr/testify/require"
)

// Failed means that nothing happened: of several errors in one answer each has to
// prove it, in whatever order they stand.
func TestErrorsHaveToAgree(t *testing.T) {
	t.Parallel()
	classes := []string{"VALIDATION", "INTERNAL", "RESOURCE_LIMIT"}
	for _, first := range classes {
		for _, second := range classes {
			if first == second {
				continue
			}
			body := fmt.Sprintf(`{"data":null,"errors":[{"extensions":{"errorClass":%q}},{"extensions":{"errorClass":%q}}]}`, first, second)
			reply := row{status: 200, body: body}
			require.Equal(t, idem.ReplyUnknown, contracts.Braintree().Verdict(reply.response(), []byte(body)), "%s, then %s", first, second)
		}
	}
}
