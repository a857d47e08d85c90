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
	"slices"
	"strings"
	"syscall"
	"time"
)

// What each step may take. Tests that a mutant holds up for so long are killed, and
// the mutant with them.
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
	Err    error  // why it could not be judged: it does not compile, say
	Took   time.Duration
}

// Good tells whether that is what has to become of it.
func (r Result) Good() bool { return r.Err == nil && r.Killed == (r.Mutant.Equivalent == "") }

// Run copies the repository at root, sees that the copy passes, and then breaks it
// in one way after the other, telling of each.
func Run(ctx context.Context, root string, all []Mutant, tell func(Result)) (err error) {
	t, err := copyTree(root, slices.ContainsFunc(all, func(m Mutant) bool { return m.Suite != "" }))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.remove()) }()
	if err := Check(t.to); err != nil {
		return err
	}
	for _, whole := range unbroken(all) {
		killed, by, err := t.judge(ctx, whole)
		if err != nil {
			return err
		}
		if killed {
			return fmt.Errorf("the library fails %s as it is, so that a mutant's failing would say nothing: mend that first", by)
		}
	}
	for _, m := range all {
		began := time.Now()
		restore, err := t.apply(m)
		if err != nil {
			return err
		}
		killed, by, err := t.judge(ctx, m)
		if err := errors.Join(ctx.Err(), restore()); err != nil {
			return err
		}
		tell(Result{m, killed, by, err, time.Since(began)})
	}
	return nil
}

// unbroken are mutants that break nothing, and together have every test and suite
// of the real ones look.
func unbroken(all []Mutant) []Mutant {
	var whole []Mutant
	for _, m := range all {
		at := slices.IndexFunc(whole, func(w Mutant) bool {
			return w.Package == m.Package && w.Race == m.Race && w.Suite == m.Suite
		})
		if at < 0 {
			at = len(whole)
			whole = append(whole, Mutant{Name: "none", Package: m.Package, Race: m.Race, Suite: m.Suite})
		}
		whole[at].Killers = append(whole[at].Killers, m.Killers...)
	}
	for i := range whole {
		slices.Sort(whole[i].Killers)
		whole[i].Killers = slices.Compact(whole[i].Killers)
	}
	return whole
}

// judge builds what has to notice m, in the copy as it stands, and runs it.
func (t *tree) judge(ctx context.Context, m Mutant) (killed bool, by string, err error) {
	binary := filepath.Join(t.temp, "binary")
	folder := filepath.Join(t.to, filepath.FromSlash(m.Package))
	build := []string{"go", "test", "-c", "-vet=off", "-ldflags=-s -w", "-o", binary, "."}
	if m.Race {
		build = slices.Insert(build, 3, "-race")
	}
	run, limit := []string{binary, "-test.run", "^(" + strings.Join(m.Killers, "|") + ")$",
		"-test.timeout", testLimit.String()}, testLimit+10*time.Second
	if m.Name != "none" {
		run = append(run, "-test.failfast")
	} else {
		run, limit = append(run, "-test.timeout", suiteLimit.String()), suiteLimit+10*time.Second
	}
	if m.Suite != "" {
		folder = filepath.Join(t.to, "lab")
		build = []string{"go", "build", "-o", binary, "."}
		run, limit = []string{binary, "-suite", m.Suite}, suiteLimit
	}
	if said, err := t.command(ctx, buildLimit, folder, build); err != nil {
		return false, "", fmt.Errorf("it does not compile, which is not what has to notice it: %w\n%s", err, said)
	}
	said, err := t.command(ctx, limit, folder, run)
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return false, "", ctx.Err()
	case err == nil && strings.Contains(said, "no tests to run"):
		return false, "", fmt.Errorf("there is no test %v", m.Killers)
	case err == nil:
		return false, "", nil
	case errors.Is(err, errTooLong):
		return true, "time: it hangs", nil
	case errors.As(err, &exit):
		return true, m.noticed(said), nil
	}
	return false, "", err
}

// noticed is what, by its output, noticed the mutant.
func (m Mutant) noticed(said string) string {
	if m.Suite != "" {
		return "suite " + m.Suite
	}
	if strings.Contains(said, "panic: test timed out") {
		running := regexp.MustCompile(`(?m)^\s+(Test\w+)`).FindStringSubmatch(said)
		if running == nil {
			return "time: it hangs"
		}
		return "time: it hangs in " + running[1]
	}
	if failed := regexp.MustCompile(`(?m)^\s*--- FAIL: (\w+)`).FindStringSubmatch(said); failed != nil {
		return failed[1]
	}
	if strings.Contains(said, "WARNING: DATA RACE") {
		return "the race detector"
	}
	lines := strings.Split(strings.TrimSpace(said), "\n")
	return "a crash: " + lines[0]
}

var errTooLong = errors.New("it took too long")

// command runs a program in the copy, with everything that it starts, and returns
// what it said.
func (t *tree) command(ctx context.Context, limit time.Duration, folder string, args []string) (string, error) {
	bounded, cancel := context.WithTimeoutCause(ctx, limit, errTooLong)
	defer cancel()
	c := exec.CommandContext(bounded, args[0], args[1:]...)
	c.Dir = folder
	c.Env = append(os.Environ(), "GOWORK=off", "TMPDIR="+t.temp)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
	c.WaitDelay = 10 * time.Second
	said, err := c.CombinedOutput()
	if err != nil && bounded.Err() != nil {
		err = context.Cause(bounded)
	}
	return string(said), err
}

// Print runs the mutants whose name contains only on the repository that folder is
// in, and prints a table. It tells whether all of them were killed, but for those that nothing can tell from the
// library.
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
