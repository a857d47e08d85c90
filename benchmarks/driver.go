package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// A driver starts children, one at a time, and keeps their results.
type driver struct {
	opt     options
	self    string
	dir     string              // everything below it goes when the driver closes
	results map[string][]result // by configuration and callers, one a round
	syncs   map[string]float64  // syncs a pair, likewise
	started time.Time
}

func newDriver(opt options) (*driver, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	base, err := filepath.Abs(opt.dir)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(base, "idem-benchmark-")
	if err != nil {
		return nil, err
	}
	return &driver{opt: opt, self: self, dir: dir, results: map[string][]result{}, syncs: map[string]float64{}, started: time.Now()}, nil
}

func (d *driver) close() error {
	fmt.Fprintf(os.Stderr, "done in %v\n", time.Since(d.started).Round(time.Second))
	return os.RemoveAll(d.dir)
}

// child runs one spec in a fresh process and gives back what it prints. Its time is bounded, so that a peer that
// hangs costs one cell and not the run.
func (d *driver) child(ctx context.Context, s spec, wrap ...string) (result, error) {
	limit := s.Warmup + s.Measure + 2*time.Minute
	if s.Kind == "prefill" || s.Kind == "take-over" {
		limit = time.Hour
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	args := append(wrap, d.self, "-child", s.String())
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.WaitDelay = time.Second
	runErr := cmd.Run()
	if line := after(&out, resultMark); line != "" {
		var r result
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			return result{}, err
		}
		if r.Err != "" {
			return r, errors.New(r.Err)
		}
		return r, nil // a child that kills itself once it has answered did what it was asked
	}
	if ctx.Err() != nil {
		return result{}, fmt.Errorf("%s %s: %w", s.Kind, s.Subject, ctx.Err())
	}
	return result{}, fmt.Errorf("%s %s ended without a result: %w: %s", s.Kind, s.Subject, runErr, lastLines(errs.String()))
}

// after finds the line that starts with a mark and gives back the rest of it.
func after(out *bytes.Buffer, mark string) string {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), mark); ok {
			return rest
		}
	}
	return ""
}

func lastLines(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-8):], "\n")
}

// fresh makes an empty folder, and a function that takes it away.
func (d *driver) fresh(name string) (string, func(), error) {
	dir, err := os.MkdirTemp(d.dir, name+"-")
	if err != nil {
		return "", nil, err
	}
	return dir, func() { os.RemoveAll(dir) }, nil
}

// startServer starts the server child and gives back its address.
func (d *driver) startServer(ctx context.Context) (addr string, stop func(), err error) {
	cmd := exec.CommandContext(ctx, d.self, "-child", spec{Kind: "serve"}.String())
	in, err := cmd.StdinPipe()
	if err != nil {
		return "", nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() { in.Close(); cmd.Wait() }
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), addressMark); ok {
			return rest, stop, nil
		}
	}
	stop()
	return "", nil, errors.New("the server did not say where it listens")
}

// progress tells the person who waits; tables go to the standard output alone.
func (d *driver) progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%6s  %s\n", time.Since(d.started).Round(time.Second), fmt.Sprintf(format, args...))
}
