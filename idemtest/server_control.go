package idemtest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// controlPrefix is where WithControl puts the control plane:
//
//	GET  /_control/ledger                       the Ledger as JSON
//	POST /_control/script[?key=…|?path=…]       a JSON list of faults
//	POST /_control/release
//	POST /_control/advance?by=24h
//	GET  /_control/wait?arrivals=N&effects=N    returns when both are reached
//
// Nothing of it is an arrival.
const controlPrefix = "/_control/"

// maxWait ends one long poll; Remote asks again.
const maxWait = 20 * time.Second

func (s *Server) serveControl(w http.ResponseWriter, r *http.Request) {
	what := r.Method + " " + strings.TrimPrefix(r.URL.Path, controlPrefix)
	switch what {
	case "GET ledger":
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(s.Ledger()); err != nil {
			panic(http.ErrAbortHandler) // the asker has left
		}
	case "POST script":
		s.controlScript(w, r)
	case "POST release":
		s.Release()
		w.WriteHeader(http.StatusNoContent)
	case "POST advance":
		by, err := time.ParseDuration(r.URL.Query().Get("by"))
		if err != nil || by <= 0 {
			http.Error(w, "by must be a positive duration such as 24h", http.StatusBadRequest)
			return
		}
		s.Advance(by)
		w.WriteHeader(http.StatusNoContent)
	case "GET wait":
		s.controlWait(w, r)
	default:
		http.Error(w, "there is no "+what+" in the control plane", http.StatusNotFound)
	}
}

func (s *Server) controlScript(w http.ResponseWriter, r *http.Request) {
	var faults []Fault
	body, err := io.ReadAll(io.LimitReader(r.Body, s.cfg.maxBody))
	if err == nil {
		err = json.Unmarshal(body, &faults)
	}
	q := r.URL.Query()
	switch key, path := q.Get("key"), q.Get("path"); {
	case err != nil:
	case key != "" && path != "":
		err = fmt.Errorf("give key or path, not both")
	case key != "":
		err = s.ScriptKey(key, faults...)
	case path != "":
		err = s.ScriptPath(path, faults...)
	default:
		err = s.Script(faults...)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) controlWait(w http.ResponseWriter, r *http.Request) {
	want := [2]int{}
	for i, name := range []string{"arrivals", "effects"} {
		text := r.URL.Query().Get(name)
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			http.Error(w, name+" must be a count, not "+strconv.Quote(text), http.StatusBadRequest)
			return
		}
		want[i] = n
	}
	ctx, cancel := context.WithTimeout(r.Context(), maxWait)
	defer cancel()
	err := s.WaitArrivals(ctx, want[0])
	if err == nil {
		err = s.WaitEffects(ctx, want[1])
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestTimeout)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
