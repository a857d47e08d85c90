package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// child is a part of this program as a process of its own.
type child struct {
	part  string
	cmd   *exec.Cmd
	stdin io.Closer    // closing it asks a server to end
	said  bytes.Buffer // what it wrote; read it only when it is over
	over  chan struct{}
	err   error // how it ended, once over is closed
}

// start runs this program again as one of its parts. It ends with ctx at the
// latest.
func start(ctx context.Context, part string, args ...string) (*child, error) {
	c := &child{part: part}
	if err := c.prepare(ctx, args); err != nil {
		return nil, err
	}
	c.cmd.Stdout = &c.said
	return c, c.launch()
}

func (c *child) prepare(ctx context.Context, args []string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program, to start it again: %w", err)
	}
	c.cmd = exec.CommandContext(ctx, self, append([]string{c.part}, args...)...)
	c.cmd.Stderr = &c.said
	c.cmd.WaitDelay = 10 * time.Second
	c.over = make(chan struct{})
	c.stdin, err = c.cmd.StdinPipe()
	return err
}

func (c *child) launch() error {
	if err := c.cmd.Start(); err != nil {
		return fmt.Errorf("starting the %s: %w", c.part, err)
	}
	go func() {
		c.err = c.cmd.Wait()
		close(c.over)
	}()
	return nil
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// alive does what needs the child to run, and ends early if it dies.
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
		return fmt.Errorf("the %s ended too early (%v), saying:\n%s", c.part, c.err, c.said.String())
	}
}

// kill is SIGKILL: the process gets no chance to write or send anything more. The
// error says that it had ended by itself.
func (c *child) kill() error {
	_ = c.cmd.Process.Kill() // its error is that it is over already
	<-c.over
	if c.err == nil {
		return fmt.Errorf("the %s ended before it could be killed, saying:\n%s", c.part, c.said.String())
	}
	return nil
}

// wait returns when the child has ended by itself.
func (c *child) wait() error {
	<-c.over
	if c.err != nil {
		return fmt.Errorf("the %s failed (%w), saying:\n%s", c.part, c.err, c.said.String())
	}
	return nil
}

// stop asks the child to end, and returns when it has. Stopping twice is the same
// as once.
func (c *child) stop() error {
	_ = c.stdin.Close() // its error is that it is closed already
	<-c.over
	return c.err
}

// tell prints what the child said. It is over.
func (c *child) tell(out io.Writer) {
	for line := range strings.Lines(c.said.String()) {
		say(out, fmt.Sprintf("agent, pid %d", c.pid()), "%s", strings.TrimRight(line, "\n"))
	}
}

// say prints one line of the story: who, and what.
func say(out io.Writer, who, format string, args ...any) {
	fmt.Fprintf(out, "  %-18s %s\n", who, fmt.Sprintf(format, args...))
}

// base is a file's name, for people.
func base(path string) string { return filepath.Base(path) }
