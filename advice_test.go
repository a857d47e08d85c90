package idem_test

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/idemtest"
	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
	"github.com/idem-go/idem/journal"
)

// failingJournal is a journal that fails where it is told to.
type failingJournal struct {
	idem.Journal
	begin, change error
}

func (f *failingJournal) Begin(ctx context.Context, r *journal.Record, g journal.Checks) (journal.Conflict, *journal.Record, error) {
	if f.begin != nil {
		return journal.NoConflict, nil, f.begin
	}
	return f.Journal.Begin(ctx, r, g)
}

func (f *failingJournal) Change(ctx context.Context, c *journal.Change) (journal.Conflict, *journal.Record, error) {
	if f.change != nil {
		return journal.NoConflict, nil, f.change
	}
	return f.Journal.Change(ctx, c)
}

// errorsOfUse is every kind of error that using the package gives, each made by
// doing what gives it.
func errorsOfUse(t *testing.T) map[string]error {
	t.Helper()
	ctx := testkit.Context(t)
	server := clientkit.NewServer(t)
	path := testkit.NewPath(t)
	sqlite, err := idem.OpenJournal(path)
	require.NoError(t, err)
	journal := &failingJournal{Journal: sqlite}
	limited := idem.Policy{Limit: idem.Limit{Intents: 1, Per: time.Hour}}
	refuse := idem.Policy{Window: time.Hour, Refuse: true}
	c, err := idem.New(journal, idem.WithPolicy("create_invoice", clientkit.PromisesNothing()), idem.WithMaxReply(1000), idem.WithMaxPayload(1000))
	require.NoError(t, err)
	tool := func(name string, p idem.Policy, answer error) func(id string, cents int) error {
		if p.Retry == (idem.Retry{}) {
			p.Retry = clientkit.Quick()
		}
		tool, err := idem.NewTool(c, name, p, func(context.Context, string, charge) (paid, error) { return paid{}, answer })
		require.NoError(t, err)
		return func(id string, cents int) error {
			_, err := tool.Call(ctx, id, charge{Cents: cents})
			return err
		}
	}
	post := func(id string, cents int) error {
		_, err := c.Do(testkit.NewInvoice(t, server.URL(), cents), invoiceOp(id))
		return err
	}
	got := map[string]error{}

	works := tool("works", idem.Policy{}, nil)
	require.NoError(t, works("1", 500))
	got["ErrMismatch"] = works("1", 777)
	got["ErrInDoubt"] = tool("doubtful", idem.Policy{}, errors.New("connection lost"))("1", 500)
	require.NoError(t, server.Script(idemtest.Fault{Kind: idemtest.DropAfter}, idemtest.Fault{Kind: idemtest.BigBody, Size: 2000}))
	got["ErrInDoubt, by HTTP"] = post("1", 500)
	got["ErrOutcomeTruncated"] = post("2", 500)
	_, got["ErrNoIntent"] = (&http.Client{Transport: c.Transport(nil)}).Do(testkit.NewInvoice(t, server.URL(), 500))
	got["ErrInDoubt, of a function that forgot its operation"] = tool("forgot", idem.Policy{}, got["ErrNoIntent"])("1", 500)
	_, got["ErrUnknownTool"] = c.Call(ctx, "wrks", "1", nil)
	once := tool("once", limited, nil)
	require.NoError(t, once("1", 500))
	got["ErrLimit"] = once("2", 500)
	unique := tool("unique", refuse, nil)
	require.NoError(t, unique("1", 500))
	got["ErrDuplicate"] = unique("2", 500)
	refused := tool("refused", idem.Policy{}, idem.Refused(errors.New("card declined.\nTry another")))
	got["ErrRefused"] = refused("1", 500)
	got["ErrRefused, handed out again"] = refused("1", 500)
	_, got["ErrRefused, by the decoder"] = c.Call(ctx, "works", "2", []byte(`{"cents":"x"}`))
	_, got["ErrRefused, too long"] = c.Call(ctx, "works", "2", []byte(`{"card":"`+strings.Repeat("x", 1000)+`"}`))
	got["ErrNotSent"] = tool("offline", idem.Policy{}, idem.NotSent(errors.New("no route")))("1", 500)
	got["a read that failed"] = tool("read", idem.Policy{Effect: idem.ReadOnly}, errors.New("no rows"))("1", 500)

	key := ""
	for in, err := range c.Intents(ctx, idem.Filter{Operation: "doubtful"}) {
		require.NoError(t, err)
		key = in.Key()
	}
	got["resolved while it is not there"] = c.Resolve(ctx, "no such key", idem.Resolution{State: idem.Failed})
	require.NoError(t, c.Resolve(ctx, key, idem.Resolution{State: idem.Succeeded, Note: "Ada looked"}))
	got["resolved already"] = c.Resolve(ctx, key, idem.Resolution{State: idem.Failed})
	_, got["ErrForgotten"] = c.Call(ctx, "doubtful", "1", []byte(`{"cents":500,"card":""}`))

	kept := tool("kept", idem.Policy{Contract: idem.Standard()}, nil)
	journal.change = errors.New("disk full")
	got["ErrUnrecorded"] = kept("1", 500)
	journal.change = nil
	require.NoError(t, kept("1", 500))
	journal.begin = errors.New("disk full")
	got["the journal"] = works("3", 500)
	journal.begin = fmt.Errorf("%w: commit", idem.ErrMaybeRecorded)
	got["ErrMaybeRecorded"] = works("3", 500)
	journal.begin = nil
	got["a name that is no name"] = works(strings.Repeat("x", 600), 500)

	over, end := context.WithCancel(ctx)
	end()
	_, got["ctx"] = c.Call(over, "works", "4", []byte(`{}`))
	_, got["ctx of a read"] = c.Call(over, "read", "4", []byte(`{}`))

	strict, err := idem.Open(testkit.NewPath(t), idem.WithRequireScope())
	require.NoError(t, err)
	_, got["ErrNoScope"] = strict.Do(testkit.NewInvoice(t, server.URL(), 500), invoiceOp("1"))
	require.NoError(t, strict.Close())
	require.NoError(t, c.Close())
	got["ErrClosed"] = works("5", 500)
	clientkit.CheckJournal(t, path)
	return got
}

// For every error of the package a model is told in one sentence what it may do
// next, and nothing where no model can help.
func TestAdvice(t *testing.T) {
	t.Parallel()
	got := errorsOfUse(t)
	doubt := "It may have happened and nobody can tell yet; do not try it in another way, go on with something else or ask a person."
	want := map[string]string{
		"ErrMismatch":         "This was asked for before with other values, which stand; use the earlier answer, or name a new step if another thing is meant.",
		"ErrInDoubt":          doubt,
		"ErrInDoubt, by HTTP": doubt,
		"ErrInDoubt, of a function that forgot its operation": doubt,
		"ErrOutcomeTruncated":          "It was done, but the answer was too long to keep; do not do it again.",
		"ErrUnknownTool":               "There is no such tool; use one of those that are listed.",
		"ErrLimit":                     "The limit for this action is reached; stop asking for it and tell the user.",
		"ErrDuplicate":                 "The same thing was asked for a moment ago and is being done or done; do not ask again, or say that a repeat is intended.",
		"ErrRefused":                   "It was refused and nothing happened (card declined. Try another): mend the arguments, or do without it.",
		"ErrRefused, handed out again": "It was refused and nothing happened (card declined. Try another): mend the arguments, or do without it.",
		"ErrRefused, by the decoder":   "It was refused and nothing happened (json: cannot unmarshal string into Go struct field charge.cents of type int): mend the arguments, or do without it.",
		"ErrRefused, too long":         "It was refused and nothing happened (the input has 1021 bytes, the limit is 1000): mend the arguments, or do without it.",
		"ErrNotSent":                   "Nothing was sent and nothing happened; the same call may be made again later.",
		"a read that failed":           "It failed and changed nothing; it may be asked again.",
		"ErrForgotten":                 "It was settled before and its answer is not kept; do not do it again; look there, or ask a person, if the answer matters.",
		"ErrUnrecorded":                "It is settled and its answer stands; do not ask for it again.",
		"ErrNoIntent":                  "", "ErrNoScope": "", "ErrClosed": "", "ErrMaybeRecorded": "", "the journal": "", "ctx": "", "ctx of a read": "",
		"a name that is no name": "", "resolved already": "", "resolved while it is not there": "",
	}
	for name, err := range got {
		require.Error(t, err, name)
		advice := idem.Advice(err)
		require.Contains(t, want, name)
		require.Equal(t, want[name], advice, "%s: %v", name, err)
		require.Equal(t, advice, idem.Advice(fmt.Errorf("step 3: %w", err)), name)
		require.NotContains(t, advice, "\n")
		require.NotContains(t, advice, testkit.Secret)
		require.Less(t, len(advice), 400)
	}
	require.Empty(t, idem.Advice(nil))
	require.Empty(t, idem.Advice(errors.New("another's")))
	require.Contains(t, idem.Advice(idem.Refused(errors.New(strings.Repeat("long ", 1000)))), "…")

	for _, name := range sentinels(t) {
		require.Contains(t, got, name, "every error of the package is in the table")
		sentinel := map[string]error{
			"ErrMismatch": idem.ErrMismatch, "ErrInDoubt": idem.ErrInDoubt, "ErrNoIntent": idem.ErrNoIntent, "ErrNoScope": idem.ErrNoScope,
			"ErrUnknownTool": idem.ErrUnknownTool, "ErrDuplicate": idem.ErrDuplicate, "ErrLimit": idem.ErrLimit, "ErrForgotten": idem.ErrForgotten,
			"ErrRefused": idem.ErrRefused, "ErrNotSent": idem.ErrNotSent, "ErrUnrecorded": idem.ErrUnrecorded,
			"ErrMaybeRecorded": idem.ErrMaybeRecorded, "ErrOutcomeTruncated": idem.ErrOutcomeTruncated, "ErrClosed": idem.ErrClosed,
		}[name]
		require.ErrorIs(t, got[name], sentinel, name)
	}
}

// sentinels are the names of the errors that errors.go declares.
func sentinels(t *testing.T) (names []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "errors.go", nil, 0)
	require.NoError(t, err)
	for _, declared := range file.Decls {
		if group, ok := declared.(*ast.GenDecl); ok && group.Tok == token.VAR {
			for _, spec := range group.Specs {
				names = append(names, spec.(*ast.ValueSpec).Names[0].Name)
			}
		}
	}
	require.NotEmpty(t, names)
	return names
}
