package main

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// One identity is one effect, whatever the model's call ids are: through both SDKs,
// against their APIs on real sockets, the second call gets the first outcome and the
// third, with another amount, hears advice.
func TestBothSDKsRefundOnce(t *testing.T) {
	t.Parallel()
	for _, l := range loops() {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			said, refunds, heard, err := l.run(ctx)
			require.NoError(t, err)
			require.Equal(t, "Refunded.", said)
			require.EqualValues(t, 1, refunds)
			require.Regexp(t, `_1"[^\n]*refund\\":1|refund\\":1[^\n]*_1"`, heard, "the first result")
			require.Regexp(t, `_2"[^\n]*refund\\":1|refund\\":1[^\n]*_2"`, heard, "the same for the second call id")
			require.Contains(t, heard, "asked for before with other values")
		})
	}
}

// The program itself.
func TestRun(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, run(&out))
	require.Contains(t, out.String(), "refunds: 1")
}
