package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
)

// call is a tool call as a model makes it.
type call struct {
	ID   string // new for every call, the same thing or not
	Tool string
	Args json.RawMessage
}

// turn is a call and what the model heard of it.
type turn struct {
	call
	result string
	failed bool // result is advice
}

// next is the model: from what was said so far, it says what to do next. done is
// its last word.
//
// It is scripted, and makes the mistakes that models make. It knows nothing of
// earlier lives: where the conversation is lost, it plans from the beginning.
func next(said []turn) (c call, done string) {
	last, texts := map[string]turn{}, 0
	refunds := 0
	for _, t := range said {
		last[t.Tool] = t
		switch t.Tool {
		case "refund":
			refunds++
		case "send_text":
			texts++
		}
	}
	_, looked := last["get_order"]
	_, mailed := last["send_mail"]
	switch {
	case !looked:
		return asked("get_order", pair{"order", "1001"}), ""
	case refunds == 0:
		return asked("refund", pair{"order", "1001"}, pair{"cents", 4200}), ""
	case !mailed:
		return asked("send_mail", pair{"order", "1001"}, pair{"to", "ada@example.com"}, pair{"text", "42.00 are on their way."}), ""
	case refunds == 1: // it misremembers the amount, and thinks that it never asked
		return asked("refund", pair{"order", "1001"}, pair{"cents", 2400}), ""
	case texts < 6 && !last["send_text"].failed: // it believes that more is better
		return asked("send_text", pair{"to", "+49 170 1234567"}, pair{"text", fmt.Sprintf("Your refund is on its way! (%d)", texts+1)}), ""
	}
	report := []string{"The refund was made."}
	if last["send_mail"].failed {
		report = append(report, "I cannot tell whether the mail went out: please look.")
	}
	return call{}, strings.Join(append(report, "I stopped texting."), " ")
}

// pair is one argument.
type pair struct {
	name  string
	value any
}

// asked is a call with a new id, its arguments in any order and with any spaces.
func asked(tool string, args ...pair) call {
	rand.Shuffle(len(args), func(i, j int) { args[i], args[j] = args[j], args[i] })
	var fields []string
	for _, a := range args {
		value, err := json.Marshal(a.value)
		if err != nil {
			panic(err) // the script has strings and numbers only
		}
		fields = append(fields, fmt.Sprintf("%q:%*s", a.name, len(value)+rand.IntN(2), value))
	}
	return call{
		ID:   fmt.Sprintf("call_%06x", rand.IntN(1<<24)),
		Tool: tool, Args: json.RawMessage("{" + strings.Join(fields, ", ") + "}"),
	}
}
