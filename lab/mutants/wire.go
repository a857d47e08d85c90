//go:build linux && cgo

package mutants

// wireMutants returns the mutants of what is sent, and how often.
func wireMutants() []Mutant {
	return []Mutant{
		{
			Name: "new key each attempt", Breaks: "every attempt has a key of its own",
			Imports: []string{"crypto/rand"},
			Edits: []Edit{{"resp, err := o.Base.RoundTrip(req)", "if req.Header.Get(journal.DefaultKeyHeader) != \"\" {\n" +
				"\t\treq.Header.Set(journal.DefaultKeyHeader, rand.Text())\n\t}\n\tresp, err := o.Base.RoundTrip(req)"}},
			Killers: []string{"TestOneIntentOneKeyOnePayload"},
		},
		{
			Name: "new key each run", Breaks: "the attempts of each call have a key of their own",
			Imports: []string{"crypto/rand"},
			Edits:   []Edit{{"value := r.Key\n", "value := rand.Text()\n"}},
			Killers: []string{"TestOneIntentOneKeyOnePayload"},
		},
		{
			Name: "body can be rewound", Breaks: "net/http may send a request a second time on its own",
			Edits: []Edit{{"Body: &w.sent, ContentLength: int64(len(w.body)),",
				"Body: &w.sent, ContentLength: int64(len(w.body)),\n\t\tGetBody: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(w.body)), nil },"}},
			Killers: []string{"TestDyingConnectionIsNotWrittenToTwice"},
		},
		{
			Name: "no body at all", Breaks: "a request without a payload has no body, so that net/http may send it a second time",
			Edits: []Edit{{"\treturn req.WithContext(ctx)\n",
				"\tif len(w.body) == 0 {\n\t\treq.Body = http.NoBody\n\t}\n\treturn req.WithContext(ctx)\n"}},
			Killers: []string{"TestDyingConnectionIsNotWrittenToTwice"},
		},
		{
			Name: "redirects followed", Breaks: "a redirect is followed, and its reply counts as the outcome",
			Edits:   []Edit{{"resp, err := o.Base.RoundTrip(req)", "resp, err := (&http.Client{Transport: o.Base}).Do(req)"}},
			Killers: []string{"TestRedirectsAreNotFollowed"},
		},
		{
			Name: "Authorize changes the payload", Breaks: "Policy.Authorize may change what is sent",
			Edits: []Edit{{"req.Body, req.GetBody, req.ContentLength = body, nil, int64(len(w.body))",
				"_ = body"}},
			Killers: []string{"TestAuthorizeCannotTouchPayloadAndKey"},
		},
		{
			Name: "Authorize changes the key", Breaks: "Policy.Authorize may change the key",
			Edits:   []Edit{{"w.keepKey(req)", "_ = w.keepKey"}},
			Killers: []string{"TestAuthorizeCannotTouchPayloadAndKey"},
		},
		{
			Name: "key not quoted", Breaks: "a structured-field key goes out without quotes",
			Edits:   []Edit{{"if r.Terms.Quoted {", "if r.Terms.Quoted && header == \"\" {"}},
			Killers: []string{"TestKeyPlaces"},
		},
		{
			Name: "Retry-After ignored", Breaks: "a call ignores Retry-After and sends again at once",
			Edits:   []Edit{{"done.again, done.asked = true, wire.RetryAfter(x.Header, c.clock.Now())", "done.again = true"}},
			Killers: []string{"TestRetryAfterIsObeyed"},
		},
		{
			Name: "Retry-After uncapped", Breaks: "a server can make a call wait for a day",
			Edits:   []Edit{{"min(asked, retryAfterFactor*r.MaxBackoff)", "asked"}},
			Killers: []string{"TestBackoffObeysRetryAfter", "TestRetryAfterIsCapped"},
		},
		{
			Name: "no jitter", Breaks: "all callers retry at the same moment",
			Edits:   []Edit{{"wait := rand.N(min(ceiling, r.MaxBackoff) + 1)", "wait := min(ceiling, r.MaxBackoff) + 0*rand.N(ceiling+1)"}},
			Killers: []string{"TestBackoffBounds"},
		},
		{
			Name: "bottomless budget", Breaks: "every intent retries without a bound against a provider that is down",
			Edits:   []Edit{{"if left < cost {", "if left < 0 {"}},
			Killers: []string{"TestRetryBudget"},
		},
		{
			Name: "SDK's key kept", Breaks: "an SDK's own key is journaled and sent beside the intent's",
			Edits: []Edit{
				{"case strings.EqualFold(name, keyHeader), volatileHeader(name):", "case volatileHeader(name):"},
				{"h.header[http.CanonicalHeaderKey(header)] = ", "h.header[http.CanonicalHeaderKey(header)] = append(h.header[http.CanonicalHeaderKey(header)], value)\n\t\t_ = "},
			},
			Killers: []string{"TestEveryAttemptCarriesTheKeyAlone"},
		},
		{
			Name: "unsafe without an operation", Breaks: "a request that may change something is sent without an intent",
			Edits:   []Edit{{"http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:", "http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodDelete:"}},
			Killers: []string{"TestTransportSendsNothingUnsafeWithoutAnOperation"},
		},
	}
}
