package main

import (
	"bytes"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// One intent, one key, one effect, whatever happens to the replies: the real
// stripe-go client charges each order once through Transport, and more often alone.
func TestEachOrderIsChargedOnce(t *testing.T) {
	t.Parallel()
	var out, errOut bytes.Buffer
	require.Equal(t, 0, run(nil, &out, &errOut), "%s%s", &out, &errOut)
	for _, line := range []string{
		`none +2 +1\n`,
		`the reply is lost +2 +1\n`,
		`409, the key is in use +2 +1\n`,
		`500, nothing was done +1 +1\n`,
		`500, and it was charged +2 +1\n`,
	} {
		require.Regexp(t, line, out.String())
	}
	require.Len(t, regexp.MustCompile(`  1\n`).FindAllString(out.String(), -1), len(troubles()))
}

// The example can fail: where the server ignores keys, an order is charged twice,
// and the program says so.
func TestAServerThatIgnoresKeysIsNoticed(t *testing.T) {
	t.Parallel()
	var out, errOut bytes.Buffer
	require.Equal(t, 1, run([]string{"-ignore-keys"}, &out, &errOut))
	require.Contains(t, errOut.String(), "did not charge each order once")
	require.Equal(t, 2, run([]string{"-what"}, &out, &errOut))
}
