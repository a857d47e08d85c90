package idem_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/internal/testkit"
	"github.com/idem-go/idem/internal/testkit/clientkit"
)

// No credential is ever in the journal, in a log or in an error's text. It goes out
// with every attempt of the call that brought it; for recovered attempts
// WithTransport or Policy.Authorize puts it back, and without either they wait.

// needle stands in every credential of these tests.
const needle = "hush7Qx9"

// credentials are the ways in which a request carries one.
func credentials() map[string]func(*http.Request) {
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header[name] = []string{value} }
	}
	query := func(pair string) func(*http.Request) {
		return func(r *http.Request) { r.URL.RawQuery = "before=1&" + pair + "&after=2" }
	}
	return map[string]func(*http.Request){
		"Authorization":                header("Authorization", "Bearer "+needle),
		"Authorization of no scheme":   header("Authorization", needle),
		"Proxy-Authorization":          header("Proxy-Authorization", "Basic "+needle),
		"Cookie":                       header("Cookie", "a=1; sid="+needle),
		"X-Api-Key":                    header("X-Api-Key", needle),
		"x-api-key as it is":           header("x-api-key", needle),
		"X_API_KEY":                    header("X_API_KEY", needle),
		"X-Goog-Api-Key":               header("X-Goog-Api-Key", needle),
		"X-Amz-Security-Token":         header("X-Amz-Security-Token", needle),
		"X-Shopify-Access-Token":       header("X-Shopify-Access-Token", needle),
		"Ocp-Apim-Subscription-Key":    header("Ocp-Apim-Subscription-Key", needle),
		"X-Functions-Key":              header("X-Functions-Key", needle),
		"X-Hub-Signature-256":          header("X-Hub-Signature-256", "sha256="+needle),
		"a bearer in any header":       header("X-Forwarded-For-Agent", "Bearer "+needle),
		"basic in any header":          header("X-Upstream", "basic "+needle),
		"userinfo":                     func(r *http.Request) { r.URL.User = url.UserPassword("user", needle) },
		"api_key":                      query("api_key=" + needle),
		"API_KEY":                      query("API_KEY=" + needle),
		"an escaped name":              query("api%5Fkey=" + needle),
		"access_token":                 query("access_token=" + needle),
		"sig":                          query("sig=" + needle),
		"X-Amz-Signature":              query("X-Amz-Signature=" + needle),
		"a name that Redact has":       query("wallet_pin=" + needle),
		"a name that Redact has, case": query("Wallet_PIN=" + needle),
	}
}

// secretive is a policy with a query name of its own to hide.
func secretive() idem.Policy {
	return idem.Policy{Contract: idem.Stripe(), Retry: clientkit.Quick(), Redact: []string{"wallet_pin"}}
}

// grepArgs is what a Grep child looks for.
type grepArgs struct {
	Path    string
	Needles []string
}

// Grep says in which of a journal's files a text stands. It is a process of its own,
// so that the journal may be open here.
func (children) Grep(l *testkit.Link) error {
	var args grepArgs
	if err := l.Args(&args); err != nil {
		return err
	}
	read := 0
	for _, suffix := range []string{"", "-wal", "-shm", ".owners"} {
		content, err := os.ReadFile(args.Path + suffix)
		if err != nil {
			return err
		}
		read += len(content)
		for _, n := range args.Needles {
			if bytes.Contains(content, []byte(n)) {
				l.Say("%q stands in %s", n, suffix)
			}
		}
	}
	l.Say("that is all of %v", read > 4096)
	return nil
}

// requireHidden looks for the needle in every byte of an open journal's files, as it
// is and as a Basic credential has it.
func requireHidden(t testing.TB, path string, texts ...string) {
	t.Helper()
	needles := []string{needle, base64.StdEncoding.EncodeToString([]byte("user:" + needle))}
	p := testkit.StartChild(t, "Grep", grepArgs{path, needles})
	p.Expect("that is all of true")
	p.Wait()
	for _, text := range texts {
		for _, n := range needles {
			require.NotContains(t, text, n)
		}
	}
}

// carries tells whether what arrived has the credential.
func carries(a arrived) bool {
	whole := a.URI + fmt.Sprint(a.Header)
	return strings.Contains(whole, needle) || strings.Contains(whole, base64.StdEncoding.EncodeToString([]byte("user:"+needle)))
}

// In every attempt, and nowhere else: lost replies, refusals and success, with the
// journal open, with a log at every level.
func TestCredentialsStayOffTheDisk(t *testing.T) {
	t.Parallel()
	for name, put := range credentials() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFarSide(t, func(n int, w http.ResponseWriter) {
				switch n {
				case 1:
					hangUp()
				case 2:
					says(w, 500, `{}`)
				default:
					w.Header().Set("Set-Cookie", "session="+needle)
					w.Header().Set("X-Refresh-Token", needle)
					w.Header().Set("X-Plain", "kept")
					says(w, 200, `{"id":1}`)
				}
			})
			path := testkit.NewPath(t)
			var log bytes.Buffer
			logger := slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			c := clientkit.NewClient(t, path, idem.WithPolicy("*", secretive()), idem.WithLogger(logger))
			request := func() *http.Request {
				req, err := http.NewRequest(http.MethodPost, f.URL+"/charges", strings.NewReader(`{"a":1}`))
				require.NoError(t, err)
				req.Header.Set("Content-Type", testkit.JSON)
				put(req)
				return req
			}
			in, err := c.Begin(testkit.Context(t), idem.Operation{Name: "charge", ID: "1"}, request())
			require.NoError(t, err)
			resp, err := in.Do(testkit.Context(t))
			require.NoError(t, err)
			require.Equal(t, "session="+needle, resp.Header.Get("Set-Cookie"), "the live reply is whole")
			saw := f.arrivals()
			require.Len(t, saw, 3)
			for _, a := range saw {
				require.True(t, carries(a), "%v", a)
				if strings.Contains(a.URI, "before") {
					require.Contains(t, a.URI, "before=1&after=2")
				}
			}
			resp, err = c.Do(request(), idem.Operation{Name: "charge", ID: "1"})
			require.NoError(t, err)
			require.Empty(t, resp.Header.Get("Set-Cookie"), "the recorded one is without")
			require.Empty(t, resp.Header.Get("X-Refresh-Token"))
			require.Equal(t, "kept", resp.Header.Get("X-Plain"))
			requireHidden(t, path, log.String(), in.Target(), fmt.Sprintf("%+v", in.History()))

			// Another credential is the same payload.
			other := request()
			other.Header.Set("Authorization", "Bearer another")
			_, err = c.Do(other, idem.Operation{Name: "charge", ID: "1"})
			require.NoError(t, err)
			require.Len(t, f.arrivals(), 3)
		})
	}
}

// An error may carry the URL or the headers of the request that failed, as many
// transports have it: the text is without credentials, what it is stays.
func TestCredentialsStayOutOfErrors(t *testing.T) {
	t.Parallel()
	for name, put := range credentials() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := testkit.NewPath(t)
			var log bytes.Buffer
			logger := slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			talkative := clientkit.RoundTrip(func(r *http.Request) (*http.Response, error) {
				return nil, fmt.Errorf("%s %s with %v: %w", r.Method, r.URL, r.Header, errReader)
			})
			p := secretive()
			p.Authorize = func(r *http.Request) error { r.Header.Set("X-Signature", needle); return nil }
			c := clientkit.NewClient(t, path, idem.WithPolicy("*", p), idem.WithLogger(logger), idem.WithTransport(talkative))
			req, err := http.NewRequest(http.MethodPost, "http://api.invalid/charges", strings.NewReader("a=1"))
			require.NoError(t, err)
			put(req)
			in, err := c.Begin(testkit.Context(t), idem.Operation{Name: "charge", ID: "1"}, req)
			require.NoError(t, err)
			_, err = in.Do(testkit.Context(t))
			require.ErrorIs(t, err, idem.ErrInDoubt)
			require.ErrorIs(t, err, errReader)
			require.ErrorContains(t, err, "POST http://")
			requireHidden(t, path, log.String(), err.Error(), fmt.Sprintf("%+v", in.History()))
			var doubt *idem.InDoubtError
			require.ErrorAs(t, err, &doubt)
			requireHidden(t, path, doubt.Err.Error())
		})
	}
	t.Run("read only", func(t *testing.T) {
		t.Parallel()
		wrapped := clientkit.RoundTrip(func(r *http.Request) (*http.Response, error) {
			return nil, &url.Error{Op: "Get", URL: r.URL.String(), Err: errReader}
		})
		p := secretive()
		p.Effect, p.Retry.MaxAttempts = idem.ReadOnly, 1
		c := clientkit.NewClient(t, testkit.NewPath(t), idem.WithPolicy("*", p), idem.WithTransport(wrapped))
		req, err := http.NewRequest(http.MethodGet, "http://api.invalid/?api_key="+needle, nil)
		require.NoError(t, err)
		_, err = c.Do(req, idem.Operation{Name: "list"})
		require.ErrorIs(t, err, errReader)
		require.NotContains(t, err.Error(), needle)
	})
	t.Run("bad input", func(t *testing.T) {
		t.Parallel()
		c := clientkit.NewClient(t, testkit.NewPath(t))
		for _, put := range credentials() {
			for _, spoil := range []func(*http.Request){
				func(r *http.Request) { r.URL.Host = "" },
				func(r *http.Request) { r.URL.RawQuery += " " },
				func(r *http.Request) {
					for name := range r.Header {
						r.Header[name][0] += "\n"
					}
					r.URL.Scheme = "ftp"
				},
			} {
				req, err := http.NewRequest(http.MethodPost, "http://api.invalid/", nil)
				require.NoError(t, err)
				put(req)
				spoil(req)
				_, err = c.Do(req, idem.Operation{Name: "charge"})
				require.ErrorContains(t, err, "nothing was sent")
				require.NotContains(t, err.Error(), needle)
			}
		}
	})
}

// bearing adds a credential to everything that goes through it.
func bearing() clientkit.RoundTrip {
	return func(r *http.Request) (*http.Response, error) {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+needle)
		return http.DefaultTransport.RoundTrip(r)
	}
}

// What a crash left is sent again with its credentials where the client can put
// them back, and not at all where it cannot.
func TestRecoveredAttemptsGetTheirCredentials(t *testing.T) {
	t.Parallel()
	authorize := secretive()
	authorize.Authorize = func(r *http.Request) error {
		if in, ok := idem.FromContext(r.Context()); !ok || in.Key() == "" {
			return errors.New("no intent in its context")
		}
		r.Header.Set("Authorization", "Bearer "+needle)
		return nil
	}
	for name, x := range map[string]struct {
		put    func(*http.Request)
		opts   []idem.Option
		report idem.Report
	}{
		"by the transport":       {credentials()["Authorization"], []idem.Option{idem.WithPolicy("*", secretive()), idem.WithTransport(bearing())}, idem.Report{Succeeded: 1}},
		"by the policy":          {credentials()["Cookie"], []idem.Option{idem.WithPolicy("*", authorize)}, idem.Report{Succeeded: 1}},
		"by nobody":              {credentials()["Authorization"], []idem.Option{idem.WithPolicy("*", secretive())}, idem.Report{Skipped: 1, Reasons: map[string]int{"credentials missing": 1}}},
		"by nobody, in a query":  {credentials()["a name that Redact has"], []idem.Option{idem.WithPolicy("*", secretive())}, idem.Report{Skipped: 1, Reasons: map[string]int{"credentials missing": 1}}},
		"by nobody, as userinfo": {credentials()["userinfo"], []idem.Option{idem.WithPolicy("*", secretive())}, idem.Report{Skipped: 1, Reasons: map[string]int{"credentials missing": 1}}},
		"none was there":         {func(*http.Request) {}, []idem.Option{idem.WithPolicy("*", secretive())}, idem.Report{Succeeded: 1}},
		"a name like our own mark": {func(r *http.Request) { r.Header["-header"] = []string{"x"} },
			[]idem.Option{idem.WithPolicy("*", secretive())}, idem.Report{Succeeded: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFarSide(t, func(n int, w http.ResponseWriter) { says(w, 200, `{}`) })
			path := testkit.NewPath(t)
			c := clientkit.NewClient(t, path, idem.WithPolicy("*", secretive()))
			req, err := http.NewRequest(http.MethodPost, f.URL+"/charges", strings.NewReader("a=1"))
			require.NoError(t, err)
			x.put(req)
			begun, err := c.Begin(context.Background(), idem.Operation{Name: "charge", ID: "1"}, req)
			require.NoError(t, err)
			require.NoError(t, c.Close())

			next := clientkit.NewClient(t, path, x.opts...)
			report, err := next.Recover(testkit.Context(t))
			require.NoError(t, err)
			require.Equal(t, x.report, report)
			saw := f.arrivals()
			require.Len(t, saw, x.report.Succeeded)
			if x.report.Skipped > 0 {
				in, err := next.Lookup(testkit.Context(t), begun.Key())
				require.NoError(t, err)
				require.Equal(t, idem.Pending, in.State())
				require.NoError(t, next.Close())
				return // Skipped is not lost: the same call brings its credentials
			}
			require.Equal(t, begun.Key(), saw[0].Header.Get("Idempotency-Key"))
			if strings.HasPrefix(name, "by") {
				require.True(t, carries(saw[0]))
			}
			if strings.HasPrefix(name, "a name") {
				require.Equal(t, []string{"x"}, saw[0].Header["-Header"])
			}
			requireHidden(t, path)
		})
	}
}
