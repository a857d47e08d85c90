package idemtest

import (
	"errors"
	"fmt"
	"net"
)

// RefusedURL is an address on this machine where a connection is refused: a
// port that nobody listens on. Until Close no other program is given it.
func (s *Server) RefusedURL() string { return s.refused }

// refusedPort dials from a port of its own and keeps that connection: nobody
// listens there, and the system gives the port to nobody else meanwhile.
func refusedPort() (string, []net.Conn, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	near, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		return "", nil, errors.Join(err, ln.Close())
	}
	far, err := ln.Accept()
	err = errors.Join(err, ln.Close())
	if err != nil {
		return "", nil, errors.Join(err, near.Close())
	}
	return near.LocalAddr().String(), []net.Conn{near, far}, nil
}

// NoSuchHostURL is an address whose host no resolver knows: the name is
// reserved for that (RFC 6761, 6.4).
func (s *Server) NoSuchHostURL() string { return "http://no-such-host.invalid" }

// TLSBadCertURL is an HTTPS address whose certificate nobody trusts and that is
// made for another name. A client that does not look gets through, and its
// arrivals are in the ledger with the host "bad_cert".
func (s *Server) TLSBadCertURL() string { return s.badCert.url }

// openUnreachable makes the two addresses that need sockets.
func (s *Server) openUnreachable() error {
	addr, ends, err := refusedPort()
	if err != nil {
		return fmt.Errorf("idemtest: cannot make a port that refuses: %w", err)
	}
	s.refused, s.ends = "http://"+addr, ends
	id, err := newTLSIdentity("wrong name", "wrong-name.invalid")
	if err != nil {
		return err
	}
	s.badCert, err = s.listen("bad_cert", "127.0.0.1:0", id)
	return err
}
