package idemtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Remote speaks to the control plane of a server in another process, one that
// was started WithControl. Make one with Dial. It keeps no connection open
// between calls and needs no Close.
type Remote struct {
	base   string
	client *http.Client
}

// Dial returns a Remote for the server at url (its URL()). It connects only
// when it is used.
func Dial(url string) *Remote {
	return &Remote{
		base:   strings.TrimSuffix(url, "/"),
		client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
	}
}

// Ledger returns a copy of all that the server knows.
func (r *Remote) Ledger(ctx context.Context) (Ledger, error) {
	var out Ledger
	body, _, err := r.call(ctx, http.MethodGet, "ledger", nil)
	if err != nil {
		return out, err
	}
	if err := json.Unmarshal(body, &out); err != nil {
		return out, fmt.Errorf("idemtest: the control plane at %s sent no ledger: %w", r.base, err)
	}
	return out, nil
}

// Script is Server.Script.
func (r *Remote) Script(ctx context.Context, faults ...Fault) error {
	return r.script(ctx, "script", faults)
}

// ScriptKey is Server.ScriptKey.
func (r *Remote) ScriptKey(ctx context.Context, key string, faults ...Fault) error {
	return r.script(ctx, "script?key="+url.QueryEscape(key), faults)
}

// ScriptPath is Server.ScriptPath.
func (r *Remote) ScriptPath(ctx context.Context, path string, faults ...Fault) error {
	return r.script(ctx, "script?path="+url.QueryEscape(path), faults)
}

func (r *Remote) script(ctx context.Context, what string, faults []Fault) error {
	body, err := json.Marshal(faults)
	if err != nil {
		return err
	}
	_, _, err = r.call(ctx, http.MethodPost, what, body)
	return err
}

// Release is Server.Release.
func (r *Remote) Release(ctx context.Context) error {
	_, _, err := r.call(ctx, http.MethodPost, "release", nil)
	return err
}

// Advance is Server.Advance.
func (r *Remote) Advance(ctx context.Context, d time.Duration) error {
	_, _, err := r.call(ctx, http.MethodPost, "advance?by="+d.String(), nil)
	return err
}

// Wait returns when the server has seen at least so many arrivals and so many
// effects, or with ctx's error; zero waits for none.
func (r *Remote) Wait(ctx context.Context, arrivals, effects int) error {
	what := "wait?arrivals=" + strconv.Itoa(arrivals) + "&effects=" + strconv.Itoa(effects)
	for {
		_, status, err := r.call(ctx, http.MethodGet, what, nil)
		// A long poll that ended for nothing is asked again.
		if err == nil || ctx.Err() != nil || status != http.StatusRequestTimeout {
			return err
		}
	}
}

func (r *Remote) call(ctx context.Context, method, what string, body []byte) ([]byte, int, error) {
	req, err := http.NewRequestWithContext(ctx, method, r.base+controlPrefix+what, bytes.NewReader(body))
	if err != nil {
		return nil, 0, fmt.Errorf("idemtest: control plane: %w", err)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, 0, fmt.Errorf("idemtest: control plane at %s: %w", r.base, err)
	}
	text, err := io.ReadAll(resp.Body)
	err = errors.Join(err, resp.Body.Close())
	if err == nil && resp.StatusCode >= 300 {
		hint := ""
		if resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusNotFound {
			hint = " (was the server started WithControl?)"
		}
		err = fmt.Errorf("%s %s: %s%s", method, what, strings.TrimSpace(string(text)), hint)
	}
	if err != nil {
		return nil, resp.StatusCode, fmt.Errorf("idemtest: control plane at %s: %w", r.base, err)
	}
	return text, resp.StatusCode, nil
}
