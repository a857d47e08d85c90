//go:build linux && cgo

package pair

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// jobEnv makes this binary play a part: a job as JSON.
const jobEnv = "IDEM_LAB_PAIR"

// job says what a child process does.
type job struct {
	Part   string // serverPart or clientPart
	Folder string // with the journals and the database
	URL    string // where the client sends
	From   int    // the client's first operation
	Finish bool   // the client ends when nothing is open, and begins nothing
	Break  string // how the server is broken
}

const (
	serverPart = "server"
	clientPart = "client"
)

// Child plays the part that this process was started for, and reports whether it was
// started for one. A program that uses Plan.Run calls Child first, and exits with the
// code.
func Child() (code int, was bool) {
	text := os.Getenv(jobEnv)
	if text == "" {
		return 0, false
	}
	var j job
	err := json.Unmarshal([]byte(text), &j)
	switch {
	case err != nil:
	case j.Part == serverPart:
		err = j.serve()
	default:
		err = j.send()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, j.Part+":", err)
		return 1, true
	}
	return 0, true
}

// patience bounds the wait for one line of a child, and for its end. A child that
// takes longer is stuck, which is an error.
const patience = 2 * time.Minute

// process is a child that reports its progress on its standard output.
type process struct {
	part   string
	cmd    *exec.Cmd
	stdin  io.WriteCloser // the child ends when it is closed
	lines  chan string    // closed at the child's end
	errors bytes.Buffer   // read it after the end only
	ended  bool
}

func start(j job) (*process, error) {
	text, err := json.Marshal(j)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &process{part: j.Part, cmd: exec.Command(self), lines: make(chan string, 10_000)}
	p.cmd.Env = append(os.Environ(), jobEnv+"="+string(text), "GORACE=atexit_sleep_ms=0")
	p.cmd.Stderr = &p.errors
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.lines)
		for in := bufio.NewScanner(out); in.Scan(); {
			p.lines <- in.Text()
		}
	}()
	return p, nil
}

// await reads on to a line with a prefix, and returns what follows the prefix. It
// fails when the child ends before, and when the child is stuck.
func (p *process) await(ctx context.Context, prefix string) (string, error) {
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				return "", fmt.Errorf("the %s ended before it printed %q: %w: %s", p.part, prefix, p.wait(), p.errors.String())
			}
			if rest, ok := strings.CutPrefix(line, prefix); ok {
				return rest, nil
			}
		case <-limit.C:
			return "", fmt.Errorf("the %s did not print %q in %v", p.part, prefix, patience)
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// kill kills the child and returns what it still printed.
func (p *process) kill() ([]string, error) {
	if p.ended {
		return nil, nil
	}
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return nil, err
	}
	var left []string
	for line := range p.lines {
		left = append(left, line)
	}
	p.wait() // it was killed
	return left, nil
}

// wait returns how a child whose output has ended has ended itself.
func (p *process) wait() error {
	p.ended = true
	return p.cmd.Wait()
}

// finish ends the child by closing its standard input. It fails when the child
// fails or prints an error.
func (p *process) finish() error {
	if err := p.stdin.Close(); err != nil {
		return err
	}
	limit := time.AfterFunc(patience, func() { p.cmd.Process.Kill() })
	defer limit.Stop()
	for range p.lines {
	}
	if err := p.wait(); err != nil || p.errors.Len() > 0 {
		return fmt.Errorf("the %s ended with %v: %s", p.part, err, p.errors.String())
	}
	return nil
}
