package server_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"testing"
	"time"

	"github.com/idem-go/idem/server"
	"github.com/stretchr/testify/require"
)

// child is this test binary as another process, which says on its standard output
// how far it is.
type child struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser // its end ends the child
	lines  *bufio.Scanner
	errors strings.Builder
	gone   bool
}

// startChild starts a part that serves, and returns its URL.
func startChild(t testing.TB, part string, env ...string) (*child, string) {
	t.Helper()
	c := newChild(t, part, env...)
	return c, c.await(t, "url ")
}

func newChild(t testing.TB, part string, env ...string) *child {
	t.Helper()
	c := &child{cmd: exec.Command(os.Args[0])}
	c.cmd.Env = append(append(os.Environ(), childVariable+"="+part, "GORACE=atexit_sleep_ms=0"), env...)
	c.cmd.Stderr = &c.errors
	var err error
	c.stdin, err = c.cmd.StdinPipe()
	require.NoError(t, err)
	out, err := c.cmd.StdoutPipe()
	require.NoError(t, err)
	c.lines = bufio.NewScanner(out)
	require.NoError(t, c.cmd.Start())
	t.Cleanup(func() {
		if !c.gone {
			c.kill(t)
		}
	})
	return c
}

// await reads on to a line with a prefix, and returns what follows it.
func (c *child) await(t testing.TB, prefix string) string {
	t.Helper()
	for c.lines.Scan() {
		if rest, ok := strings.CutPrefix(c.lines.Text(), prefix); ok {
			return rest
		}
	}
	c.gone = true
	require.FailNow(t, "the child ended without saying "+prefix, "%v\n%s", c.cmd.Wait(), c.errors.String())
	return ""
}

func (c *child) kill(t testing.TB) {
	t.Helper()
	require.NoError(t, c.cmd.Process.Kill())
	c.wait()
}

// wait reads what is left and returns how the child ended.
func (c *child) wait() error {
	for c.lines.Scan() {
	}
	c.gone = true
	return c.cmd.Wait()
}

// listen serves h until the parent is gone or closes the child's standard input.
func listen(h http.Handler) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	web := &http.Server{Handler: h}
	done := make(chan error, 1)
	go func() { done <- web.Serve(l) }()
	fmt.Println("url http://" + l.Addr().String())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	go func() { io.Copy(io.Discard, os.Stdin); stop() }()
	<-ctx.Done()
	if err := web.Shutdown(context.Background()); err != nil {
		return err
	}
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// serveChild is a server on the journal at IDEM_PATH. With IDEM_HOLD its handler
// never ends; with IDEM_WAIT duplicates wait.
func serveChild() error {
	s, err := server.Open(os.Getenv("IDEM_PATH"))
	if err != nil {
		return err
	}
	opts := []server.Option{server.SingleTenant()}
	if d, err := time.ParseDuration(os.Getenv("IDEM_WAIT")); err == nil {
		opts = append(opts, server.Wait(d))
	}
	once, err := server.New(s, opts...)
	if err != nil {
		return err
	}
	h := &counter{}
	err = listen(once(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if os.Getenv("IDEM_HOLD") != "" {
			fmt.Println("holding")
			select {}
		}
		h.ServeHTTP(w, r)
	})))
	return errors.Join(err, s.Close())
}
