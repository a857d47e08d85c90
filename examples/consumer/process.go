package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// child is the consumer as a process of its own.
type child struct {
	cmd   *exec.Cmd
	stdin io.Closer // closing it asks the consumer to end
	said  lines
	over  chan struct{}
	err   error // how it ended, once over is closed
}

// lines is what a child says, for whoever waits for a line.
type lines struct {
	mu      sync.Mutex
	text    []byte
	written chan struct{} // closed, and made anew, with each write
}

// Write implements io.Writer.
func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, b...)
	close(l.written)
	l.written = make(chan struct{})
	return len(b), nil
}

// String is all that was said.
func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}

func (l *lines) more() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.written
}

// waitFor waits until the child has said a line.
func (c *child) waitFor(ctx context.Context, line string) error {
	for {
		more := c.said.more()
		if strings.Contains(c.said.String(), line+"\n") {
			return nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// start runs this program again as the consumer. It ends with ctx at the latest.
func start(ctx context.Context, args ...string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program, to start it again: %w", err)
	}
	c := &child{cmd: exec.CommandContext(ctx, self, args...), over: make(chan struct{})}
	c.said.written = make(chan struct{})
	c.cmd.Stdout, c.cmd.Stderr = &c.said, &c.said
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	c.cmd.WaitDelay = 10 * time.Second
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the consumer: %w", err)
	}
	go func() {
		c.err = c.cmd.Wait()
		close(c.over)
	}()
	return c, nil
}

// alive does what needs the consumer to run, and ends early if it dies.
func (c *child) alive(ctx context.Context, do func(context.Context, *child) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- do(ctx, c) }()
	select {
	case err := <-done:
		return err
	case <-c.over:
		cancel()
		<-done
		return fmt.Errorf("the consumer ended too early (%v), saying:\n%s", c.err, c.said.String())
	}
}

// kill is SIGKILL: the consumer gets no chance to write or send anything more. The
// error says that it had ended by itself.
func (c *child) kill() error {
	_ = c.cmd.Process.Kill() // its error is that it is over already
	<-c.over
	if c.err == nil {
		return fmt.Errorf("the consumer ended before it could be killed, saying:\n%s", c.said.String())
	}
	return nil
}

// stop asks the consumer to end, and returns when it has.
func (c *child) stop() error {
	_ = c.stdin.Close() // its error is that the consumer is gone
	<-c.over
	if c.err != nil {
		return fmt.Errorf("the consumer failed (%w), saying:\n%s", c.err, c.said.String())
	}
	return nil
}

// tell prints what the consumer said. It is over.
func (c *child) tell(out io.Writer) {
	for line := range strings.Lines(c.said.String()) {
		fmt.Fprint(out, "  ", line)
	}
}
