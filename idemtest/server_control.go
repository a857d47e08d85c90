package idemtest

import "net/http"

// controlPrefix is where the control plane lives.
const controlPrefix = "/_control/"

func (s *Server) serveControl(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }
