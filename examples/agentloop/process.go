package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// child is the agent as a process of its own.
type child struct {
	cmd  *exec.Cmd
	said bytes.Buffer // what it wrote; read it only when it is over
	over chan struct{}
	err  error // how it ended, once over is closed
}

// start runs this program again as the agent. It ends with ctx at the latest.
func start(ctx context.Context, args ...string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program, to start it again: %w", err)
	}
	c := &child{cmd: exec.CommandContext(ctx, self, args...), over: make(chan struct{})}
	c.cmd.Stdout, c.cmd.Stderr = &c.said, &c.said
	c.cmd.WaitDelay = 10 * time.Second
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the agent: %w", err)
	}
	go func() {
		c.err = c.cmd.Wait()
		close(c.over)
	}()
	return c, nil
}

// alive does what needs the agent to run, and ends early if it dies.
func (c *child) alive(ctx context.Context, do func(ctx context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- do(ctx) }()
	select {
	case err := <-done:
		return err
	case <-c.over:
		cancel()
		<-done
		return fmt.Errorf("the agent ended too early (%v), saying:\n%s", c.err, c.said.String())
	}
}

// kill is SIGKILL: the agent gets no chance to write or send anything more. The
// error says that it had ended by itself.
func (c *child) kill() error {
	_ = c.cmd.Process.Kill() // its error is that it is over already
	<-c.over
	if c.err == nil {
		return fmt.Errorf("the agent ended before it could be killed, saying:\n%s", c.said.String())
	}
	return nil
}

// wait returns when the agent has ended by itself.
func (c *child) wait() error {
	<-c.over
	if c.err != nil {
		return fmt.Errorf("the agent failed (%w), saying:\n%s", c.err, c.said.String())
	}
	return nil
}

// tell prints what the agent said. It is over.
func (c *child) tell(out io.Writer) {
	for line := range strings.Lines(c.said.String()) {
		fmt.Fprint(out, "  ", line)
	}
}
