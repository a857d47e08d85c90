package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/idem-go/idem"
)

type (
	lookup struct {
		Order string `json:"order"`
	}
	found struct {
		Customer string `json:"customer"`
		Cents    int    `json:"cents"`
	}
	refund struct {
		Order string `json:"order"`
		Cents int    `json:"cents"`
	}
	refunded struct {
		Refund string `json:"refund"`
	}
	mail struct {
		Order string `json:"order"`
		To    string `json:"to"`
		Text  string `json:"text"`
	}
	text struct {
		To   string `json:"to"`
		Text string `json:"text"`
	}
	sent struct {
		Sent bool `json:"sent"`
	}
)

// register puts every tool behind the client. The policies say what makes two calls
// the same thing, since the model's call ids never do.
func register(c *idem.Client, payments, post string) error {
	sdk := &http.Client{Transport: c.Transport(nil)}

	// Changes nothing: neither journaled nor keyed.
	_, err := idem.NewTool(c, "get_order", idem.Policy{Effect: idem.ReadOnly},
		func(context.Context, string, lookup) (found, error) { return found{"ada@example.com", 4200}, nil })
	if err != nil {
		return err
	}
	// The payments server keeps keys, as Stripe does. An order is refunded once.
	_, err = idem.NewTool(c, "refund", idem.Policy{Contract: idem.Stripe(), ID: []string{"/order"}},
		func(ctx context.Context, _ string, in refund) (refunded, error) {
			form := url.Values{"amount": {strconv.Itoa(in.Cents)}, "metadata[order]": {in.Order}}
			var reply struct{ ID string }
			err := send(ctx, sdk, payments+"/v1/refunds", "application/x-www-form-urlencoded", form.Encode(), &reply)
			return refunded{reply.ID}, err
		})
	if err != nil {
		return err
	}
	// The post office promises nothing about keys: what may have been sent is never
	// sent again by itself. An order gets one mail, whatever the model writes in it.
	_, err = idem.NewTool(c, "send_mail", idem.Policy{ID: []string{"/order", "/to"}, Ignore: []string{"/text"}},
		func(ctx context.Context, _ string, in mail) (sent, error) { return deliver(ctx, sdk, post+"/mail", in) })
	if err != nil {
		return err
	}
	// Two texts an hour are enough for anybody.
	limit := idem.Limit{Intents: 2, Per: time.Hour}
	_, err = idem.NewTool(c, "send_text", idem.Policy{ID: []string{"/to", "/text"}, Limit: limit},
		func(ctx context.Context, _ string, in text) (sent, error) { return deliver(ctx, sdk, post+"/text", in) })
	return err
}

func deliver(ctx context.Context, sdk *http.Client, url string, what any) (sent, error) {
	body, err := json.Marshal(what)
	if err != nil {
		return sent{}, idem.NotSent(err)
	}
	var reply sent
	err = send(ctx, sdk, url, "application/json", string(body), &reply)
	return reply, err
}

// send is what an SDK does: it posts, and reads the reply. The key is put on by the
// transport, from the tool's intent in ctx.
func send(ctx context.Context, sdk *http.Client, url, contentType, body string, reply any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return idem.NotSent(err)
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Authorization", "Bearer sk_test_idem")
	resp, err := sdk.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err
	case resp.StatusCode >= 400 && resp.StatusCode < 500:
		return idem.Refused(fmt.Errorf("%s: %s", resp.Status, answer))
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("%s: %s", resp.Status, answer)
	}
	return json.Unmarshal(answer, reply)
}
