//go:build linux && cgo

package mutants

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// What each step may take. A test that a mutant holds up for so long is killed, and
// counts as one that noticed the mutant.
const (
	buildLimit = 10 * time.Minute
	testLimit  = 90 * time.Second
	suiteLimit = 10 * time.Minute
)

// Result is what became of one mutant.
type Result struct {
	Mutant Mutant
	Killed bool
	By     string // what noticed
	Err    error  // why the mutant could not be judged: it does not compile, for example
	Took   time.Duration
}

// Good reports whether the mutant ended as it must.
func (r Result) Good() bool { return r.Err == nil && r.Killed == (r.Mutant.Equivalent == "") }

// Run copies the repository at root, checks that the copy passes every test that a
// mutant names, and judges the mutants, several at once. It calls report for each
// mutant as soon as it is judged, one call at a time.
func Run(ctx context.Context, root string, all []Mutant, report func(Result)) (err error) {
	t, err := copyTree(root, slices.ContainsFunc(all, func(m Mutant) bool { return m.Suite != "" }))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.remove()) }()
	if err := Check(t.to); err != nil {
		return err
	}
	whole, err := t.unbroken(all)
	if err != nil {
		return err
	}
	err = t.each(ctx, whole, func(r Result) error {
		if r.Killed {
			return fmt.Errorf("the library fails %s without a mutant, so a failure with one would prove nothing: fix that first", r.By)
		}
		return r.Err
	})
	if err != nil {
		return err
	}
	return t.each(ctx, all, func(r Result) error {
		report(r)
		return nil
	})
}

// each judges the mutants, several at once, and calls report for each, one call at a
// time. It stops at the first error, which is report's or ctx's.
func (t *tree) each(ctx context.Context, all []Mutant, report func(Result) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	todo := make(chan Mutant)
	var mu sync.Mutex
	var work sync.WaitGroup
	for range runtime.NumCPU() + 1 { // some tests only wait
		work.Go(func() {
			for m := range todo {
				began := time.Now()
				killed, by, err := t.judge(ctx, m)
				mu.Lock()
				if ctx.Err() == nil {
					if err := report(Result{m, killed, by, err, time.Since(began)}); err != nil {
						stop(err)
					}
				}
				mu.Unlock()
			}
		})
	}
	for _, m := range all {
		select {
		case todo <- m:
		case <-ctx.Done():
		}
	}
	close(todo)
	work.Wait()
	return context.Cause(ctx)
}

// unbroken returns mutants that break nothing and together run every test and suite
// of the given ones, once.
func (t *tree) unbroken(all []Mutant) ([]Mutant, error) {
	type pack struct {
		folder, suite string
		race          bool
	}
	killers := map[pack][]string{}
	for _, m := range all {
		if m.Suite != "" {
			killers[pack{suite: m.Suite}] = nil
		}
		for _, test := range m.Killers {
			folder, err := t.lib.folder(test)
			if err != nil {
				return nil, err
			}
			p := pack{folder: folder, race: m.Race}
			killers[p] = append(killers[p], test)
		}
	}
	var whole []Mutant
	for p, tests := range killers {
		slices.Sort(tests)
		whole = append(whole, Mutant{Name: unbrokenName, Race: p.race, Suite: p.suite, Killers: slices.Compact(tests)})
	}
	return whole, nil
}

const unbrokenName = "none"

// judge builds and runs what must notice m.
func (t *tree) judge(ctx context.Context, m Mutant) (killed bool, by string, err error) {
	folder, err := os.MkdirTemp(t.temp, "")
	if err != nil {
		return false, "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	changed, err := t.lib.mutate(m)
	if err != nil {
		return false, "", err
	}
	w := workplace{folder: folder}
	if w.overlay, err = t.overlay(folder, changed); err != nil {
		return false, "", err
	}
	if m.Suite != "" {
		output, err := t.runSuite(ctx, w, m)
		return m.verdict(output, err)
	}
	for _, tests := range t.byFolder(m.Killers) {
		output, err := t.runTests(ctx, w, m, tests)
		if killed, by, err := m.verdict(output, err); killed || err != nil {
			return killed, by, err
		}
	}
	return false, "", nil
}

// byFolder returns the tests grouped by their folders, in their order.
func (t *tree) byFolder(tests []string) [][]string {
	var groups [][]string
	at := map[string]int{}
	for _, test := range tests {
		folder := t.lib.tests[test][0]
		i, ok := at[folder]
		if !ok {
			i = len(groups)
			at[folder] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], test)
	}
	return groups
}

// workplace is where one mutant is built and run.
type workplace struct {
	folder  string // for its files
	overlay string // of the mutant's sources
}

// runTests builds the package of the tests and runs them.
func (t *tree) runTests(ctx context.Context, w workplace, m Mutant, tests []string) (output string, err error) {
	folder := filepath.Join(t.to, t.lib.tests[tests[0]][0])
	binary := filepath.Join(w.folder, "binary")
	build := []string{"go", "test", "-c", "-vet=off", "-overlay", w.overlay,
		"-gcflags=-N -l", "-ldflags=-s -w", // optimizing takes longer than it saves
		"-o", binary, "."}
	if m.Race {
		build = slices.Insert(build, 3, "-race")
	}
	limit := testLimit
	run := []string{binary, "-test.run", "^(" + strings.Join(tests, "|") + ")$"}
	if m.Name == unbrokenName {
		limit = suiteLimit
	} else {
		run = append(run, "-test.failfast")
	}
	run = append(run, "-test.timeout", limit.String())
	if err := t.build(ctx, w, folder, build); err != nil {
		return "", err
	}
	if output, err = t.command(ctx, limit+10*time.Second, w, folder, run); err == nil && strings.Contains(output, "no tests to run") {
		err = fmt.Errorf("there is no test %v", tests)
	}
	return output, err
}

// runSuite builds the lab and runs the mutant's suite.
func (t *tree) runSuite(ctx context.Context, w workplace, m Mutant) (output string, err error) {
	folder := filepath.Join(t.to, "lab")
	binary := filepath.Join(w.folder, "binary")
	if err := t.build(ctx, w, folder, []string{"go", "build", "-overlay", w.overlay, "-o", binary, "."}); err != nil {
		return "", err
	}
	return t.command(ctx, suiteLimit, w, folder, []string{binary, "-suite", m.Suite})
}

func (t *tree) build(ctx context.Context, w workplace, folder string, args []string) error {
	if output, err := t.command(ctx, buildLimit, w, folder, args); err != nil {
		return fmt.Errorf("the mutant does not compile: %w\n%s", errors.New(err.Error()), output)
	}
	return nil
}

// verdict returns what the output and the error of a mutant's tests prove.
func (m Mutant) verdict(output string, err error) (killed bool, by string, _ error) {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return false, "", nil
	case errors.Is(err, errTooLong):
		return true, "time: it hangs", nil
	case errors.As(err, &exit):
		return true, m.noticed(output), nil
	}
	return false, "", err
}

// noticed returns what noticed the mutant, by the output of the tests.
func (m Mutant) noticed(output string) string {
	if m.Suite != "" {
		return "suite " + m.Suite
	}
	if strings.Contains(output, "panic: test timed out") {
		running := regexp.MustCompile(`(?m)^\s+(Test\w+)`).FindStringSubmatch(output)
		if running == nil {
			return "time: it hangs"
		}
		return "time: it hangs in " + running[1]
	}
	if failed := regexp.MustCompile(`(?m)^\s*--- FAIL: (\w+)`).FindStringSubmatch(output); failed != nil {
		return failed[1]
	}
	if strings.Contains(output, "WARNING: DATA RACE") {
		return "the race detector"
	}
	lines := strings.Split(strings.TrimSpace(output), "\n")
	return "a crash: " + lines[0]
}

var errTooLong = errors.New("it took too long")

// command runs a program in a folder of the copy and returns its output. When the time
// is up it kills the program and everything that the program started.
func (t *tree) command(ctx context.Context, limit time.Duration, w workplace, folder string, args []string) (string, error) {
	bounded, cancel := context.WithTimeoutCause(ctx, limit, errTooLong)
	defer cancel()
	c := exec.CommandContext(bounded, args[0], args[1:]...)
	c.Dir = folder
	c.Env = append(os.Environ(), "GOWORK=off", "TMPDIR="+w.folder)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
	c.WaitDelay = 10 * time.Second
	output, err := c.CombinedOutput()
	if err != nil && bounded.Err() != nil {
		err = context.Cause(bounded)
	}
	return string(output), err
}

// Print judges the mutants whose name contains only, in the repository that folder is
// in, and prints a table. It reports whether each of them ended as it must.
func Print(ctx context.Context, out io.Writer, folder, only string) (good bool, err error) {
	root, err := Root(folder)
	if err != nil {
		return false, err
	}
	var all []Mutant
	for _, m := range All() {
		if strings.Contains(m.Name, only) {
			all = append(all, m)
		}
	}
	began := time.Now()
	var killed, equivalent, survived int
	fmt.Fprintf(out, "%-32s  %-88s  %6s  %s\n", "mutant", "what it breaks", "time", "killed by")
	err = Run(ctx, root, all, func(r Result) {
		by := r.By
		switch {
		case r.Err != nil:
			survived++
			by = "NOT JUDGED: " + r.Err.Error()
		case r.Good() && r.Killed:
			killed++
		case r.Good():
			equivalent++
			by = "equivalent, because " + r.Mutant.Equivalent
		case r.Killed:
			survived++
			by = "NOT EQUIVALENT: killed by " + r.By
		default:
			survived++
			by = "SURVIVED " + strings.Join(append(r.Mutant.Killers, r.Mutant.Suite), " ")
		}
		fmt.Fprintf(out, "%-32s  %-88s  %6v  %s\n", r.Mutant.Name, r.Mutant.Breaks, r.Took.Round(time.Second/10), by)
	})
	fmt.Fprintf(out, "%d mutants: %d killed, %d survived, %d equivalent, in %v\n",
		len(all), killed, survived, equivalent, time.Since(began).Round(time.Second))
	return err == nil && survived == 0 && len(all) > 0, err
}
