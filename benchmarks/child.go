package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"syscall"
)

// resultMark starts the one line of a child's output that its parent reads; whatever a peer prints is passed over.
const resultMark = "idem-benchmark-result "

// runChild does what one spec says, in a process of its own, and prints the result.
func runChild(text string) int {
	// Peers that log through the standard loggers pay for it, and would drown the tables.
	log.SetOutput(io.Discard)
	slog.SetDefault(slog.New(slog.DiscardHandler))

	var s spec
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return answer(result{Err: fmt.Sprintf("the spec cannot be read: %v", err)})
	}
	r, err := dispatch(s)
	if err != nil {
		r.Err = err.Error()
	}
	code := answer(r)
	if s.Kind == "leave-pending" {
		// Dies as a crashed program does: nothing is closed, nothing is given back.
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	return code
}

func dispatch(s spec) (result, error) {
	switch s.Kind {
	case "pairs":
		return runPairs(s)
	case "open":
		return openOnly(s)
	case "serve":
		return result{}, serve()
	case "prefill":
		return prefill(s)
	case "leave-pending":
		return leavePending(s)
	case "list-pending":
		return listPending(s)
	case "hold":
		return result{}, hold(s)
	case "take-over":
		return takeOver(s)
	}
	return result{}, fmt.Errorf("a child of kind %q is not known", s.Kind)
}

func answer(r result) int {
	b, err := json.Marshal(r)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Printf("%s%s\n", resultMark, b)
	if r.Err != "" {
		return 1
	}
	return 0
}
