package wire

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/idem-go/idem/internal/codec"
)

// validateRequest returns an error if net/http would refuse to send the request, so
// that a mistake is found before an attempt and not taken for one. It also returns an
// error if the request cannot be read back from the journal unchanged.
func validateRequest(req *http.Request) error {
	if req.Method != "" && !codec.IsToken(req.Method) {
		return fmt.Errorf("the request's method %q is none: letters are needed", req.Method)
	}
	u := req.URL
	switch {
	case u == nil:
		return errors.New("the request has no URL: make it with http.NewRequest")
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("the request's URL has the scheme %q: http or https is needed", u.Scheme)
	case u.Host == "":
		return errors.New("the request's URL has no host: give it a whole URL, such as https://api.example.com/v1/charges")
	case !isHost(u.Host):
		return fmt.Errorf("the request's URL has the host %q, which cannot be sent", u.Host)
	case req.Host != "" && req.Host != u.Host && !isHost(req.Host):
		return fmt.Errorf("the request's Host %q cannot be sent", req.Host)
	case u.Opaque != "" && !strings.HasPrefix(u.Opaque, "//"+u.Host+"/"):
		return errors.New("the request's URL has an Opaque part: set Path and RawPath instead")
	case u.Opaque == "" && u.Path != "" && u.Path[0] != '/':
		return fmt.Errorf("the request's URL has the path %q: it begins with /", u.Path)
	}
	for i := range len(u.RawQuery) {
		if b := u.RawQuery[i]; b <= ' ' || b == 0x7f || b == '#' {
			return fmt.Errorf("the request's query has a control character, a space or a # at byte %d: make it with url.Values.Encode", i)
		}
	}
	for name, values := range req.Header {
		if !codec.IsToken(name) {
			return fmt.Errorf("the request's header %q has a name that no header has", name)
		}
		for _, v := range values {
			if codec.ControlIn(v) >= 0 {
				return fmt.Errorf("the request's header %q has a control character, such as a line break: remove it", name)
			}
		}
	}
	return nil
}

// isHost reports whether s is a host, with or without a port, that can be read back
// from the journal unchanged. Names and IPv4 addresses are not parsed as a URL.
func isHost(s string) bool {
	name, port, _ := strings.Cut(s, ":")
	plain := name != ""
	for i := range len(name) {
		b := name[i] | 0x20
		plain = plain && (b >= 'a' && b <= 'z' || name[i] >= '0' && name[i] <= '9' || name[i] == '.' || name[i] == '-')
	}
	for i := range len(port) {
		plain = plain && port[i] >= '0' && port[i] <= '9'
	}
	if plain {
		return true
	}
	u, err := url.Parse("http://" + s + "/")
	return err == nil && u.Host == s && codec.ControlIn(s) < 0 && !strings.ContainsAny(s, " <>\"")
}
