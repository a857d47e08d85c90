package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/idem-go/idem/idemtest"
)

// serve is the process of the far side: a strict Stripe-style server with a file
// store of its own. It ends when its standard input does, that is, with whoever
// started it.
func serve(args []string, out io.Writer) error {
	if len(args) != 1 {
		return errors.New("server needs the path of its store")
	}
	s, err := idemtest.NewServer(idemtest.WithStore(args[0]), idemtest.WithSecret(secret), idemtest.WithControl())
	if err != nil {
		return err
	}
	fmt.Fprintln(out, s.URL())
	_, err = io.Copy(io.Discard, os.Stdin)
	return errors.Join(err, s.Close())
}

// startServer starts the far side and returns its address.
func startServer(ctx context.Context, store string) (*child, string, error) {
	c := &child{part: "server"}
	if err := c.prepare(ctx, []string{store}); err != nil {
		return nil, "", err
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, "", err
	}
	defer read.Close()
	c.cmd.Stdout = write
	err = c.launch()
	write.Close() // the child has its own copy
	if err != nil {
		return nil, "", err
	}
	line, err := bufio.NewReader(read).ReadString('\n')
	if err != nil {
		ended := c.stop()
		return nil, "", fmt.Errorf("the server gave no address (%v), saying:\n%s", ended, c.said.String())
	}
	return c, strings.TrimSpace(line), nil
}
