package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
)

// fake answers as a provider's API would, on a real socket, from a script: it asks
// for the same refund twice under two call ids, then for another amount, and ends.
type fake struct {
	listener net.Listener
	server   *http.Server
	script   []string

	mu    sync.Mutex
	asked []json.RawMessage // the requests' bodies
}

func startFake(script []string) (*fake, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f := &fake{listener: listener, script: script}
	f.server = &http.Server{Handler: http.HandlerFunc(f.serve)}
	go f.server.Serve(listener)
	return f, nil
}

func (f *fake) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil || len(f.asked) == len(f.script) {
		http.Error(w, "the script is over", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprint(w, f.script[len(f.asked)])
	f.asked = append(f.asked, body)
}

// heard is all that was sent to it.
func (f *fake) heard() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	text := ""
	for _, body := range f.asked {
		text += string(body) + "\n"
	}
	return text
}

func (f *fake) url() string { return "http://" + f.listener.Addr().String() + "/" }

func (f *fake) close() error { return f.server.Close() }

// anthropicScript is what the Messages API replies.
func anthropicScript() []string {
	use := func(id, args string) string {
		return fmt.Sprintf(`{"id":"msg_%s","type":"message","role":"assistant","model":"claude-sonnet-4-6","stop_reason":"tool_use",
			"usage":{"input_tokens":1,"output_tokens":1},"content":[{"type":"tool_use","id":"toolu_%s","name":"refund","input":%s}]}`, id, id, args)
	}
	return []string{
		use("1", `{"order":"1001","cents":4200}`), use("2", `{"cents":4200,"order":"1001"}`), use("3", `{"order":"1001","cents":2400}`),
		`{"id":"msg_4","type":"message","role":"assistant","model":"claude-sonnet-4-6","stop_reason":"end_turn",
			"usage":{"input_tokens":1,"output_tokens":1},"content":[{"type":"text","text":"Refunded."}]}`,
	}
}

// openaiScript is what the Responses API replies.
func openaiScript() []string {
	call := func(id, args string) string {
		return fmt.Sprintf(`{"id":"resp_%s","object":"response","status":"completed","output":[
			{"type":"function_call","id":"fc_%s","call_id":"call_%s","name":"refund","arguments":%q,"status":"completed"}]}`, id, id, id, args)
	}
	return []string{
		call("1", `{"order":"1001","cents":4200}`), call("2", `{"cents":4200,"order":"1001"}`), call("3", `{"order":"1001","cents":2400}`),
		`{"id":"resp_4","object":"response","status":"completed","output":[{"type":"message","id":"m_4","role":"assistant","status":"completed",
			"content":[{"type":"output_text","text":"Refunded.","annotations":[]}]}]}`,
	}
}
