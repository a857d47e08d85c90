//go:build linux && cgo

package power

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/idem-go/idem/lab/disk"
	"github.com/idem-go/idem/lab/vfs"
	"github.com/stretchr/testify/require"
)

const tracedEnv = "IDEM_LAB_TRACED"

// tracedRun is a run that is written down while strace looks on.
type tracedRun struct {
	Folder string
	Seed   uint64
	Marks  string // a file that each event is written to, so that strace sees it
	Log    string // where the recording goes
}

func TestMain(m *testing.M) {
	if text := os.Getenv(tracedEnv); text != "" {
		var run tracedRun
		err := json.Unmarshal([]byte(text), &run)
		if err == nil {
			err = run.record()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// record is what rig.record does, with events that strace sees.
func (run tracedRun) record() error {
	if err := vfs.Install(); err != nil {
		return err
	}
	marks, err := os.Create(run.Marks)
	if err != nil {
		return err
	}
	r := newRecorder(run.Folder, nil)
	watch, err := vfs.Start(run.Folder, r)
	if err != nil {
		return err
	}
	mark := func(e event) {
		fmt.Fprintf(marks, "event %d %s", e.kind, e.order)
		r.mark(e)
	}
	p := newPlan(run.Seed)
	a := &agent{folder: run.Folder, plan: p, mark: mark, rec: r, far: newFarSide(nil, mark)}
	for _, o := range p.orders {
		a.far.script[o.id] = o.faults
	}
	if err := a.follow(context.Background()); err != nil {
		return err
	}
	if err := watch.Stop(); err != nil {
		return err
	}
	log, err := r.taken()
	if err != nil {
		return err
	}
	out, err := os.Create(run.Log)
	if err != nil {
		return err
	}
	for _, e := range log {
		switch name := e.op.Name; e.op.Kind {
		case 0:
			if e.event.kind != opened { // the recorder's own
				fmt.Fprintf(out, "event %d %s\n", e.event.kind, e.event.order)
			}
		case disk.Create:
			fmt.Fprintln(out, "create", name)
		case disk.Write:
			fmt.Fprintln(out, "write", name)
		case disk.Truncate:
			fmt.Fprintln(out, "truncate", name)
		case disk.Sync:
			fmt.Fprintln(out, "sync", name)
		case disk.Delete:
			fmt.Fprintln(out, "delete", name)
		case disk.Folder:
			fmt.Fprintln(out, "sync .")
		default:
			return fmt.Errorf("operation %d", e.op.Kind)
		}
	}
	return out.Close()
}

func readLines(t *testing.T, path string) (lines []string) {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	in := bufio.NewScanner(f)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		lines = append(lines, in.Text())
	}
	require.NoError(t, in.Err())
	return lines
}

// seen are the same operations as strace saw them made. Shared memory is none: it
// does not outlive a power loss.
func (run tracedRun) seen(t *testing.T, trace string) (ops []string) {
	call := regexp.MustCompile(`^\d+\s+(\w+)\((.*)\) += (-?\d+)`)
	begun := regexp.MustCompile(`^(\d+)\s+(\w+)\((.*) <unfinished \.\.\.>$`)
	ended := regexp.MustCompile(`^(\d+)\s+<\.\.\. (\w+) resumed>(.*)$`)
	file := regexp.MustCompile(`^\d+<([^>]*)>`)
	quoted := regexp.MustCompile(`"([^"]*)"`)
	halves := map[string]string{}
	there := map[string]bool{}
	name := func(path string) (string, bool) {
		if path == run.Folder {
			return ".", true
		}
		in, ok := strings.CutPrefix(path, run.Folder+"/")
		return in, ok && !strings.HasSuffix(in, "-shm")
	}
	for _, line := range readLines(t, trace) {
		if m := begun.FindStringSubmatch(line); m != nil {
			halves[m[1]] = m[0][:len(m[0])-len(" <unfinished ...>")]
			continue
		}
		if m := ended.FindStringSubmatch(line); m != nil {
			line = halves[m[1]] + m[3]
		}
		m := call.FindStringSubmatch(line)
		if m == nil || strings.HasPrefix(m[3], "-") {
			continue
		}
		path := ""
		if f := file.FindStringSubmatch(m[2]); f != nil && m[1] != "openat" {
			path = f[1]
		} else if q := quoted.FindStringSubmatch(m[2]); q != nil {
			path = q[1]
		}
		if path == run.Marks && m[1] == "write" {
			ops = append(ops, quoted.FindStringSubmatch(m[2])[1])
			continue
		}
		in, ours := name(path)
		if !ours {
			continue
		}
		switch m[1] {
		case "openat":
			if strings.Contains(m[2], "O_CREAT") && !there[in] {
				there[in] = true
				ops = append(ops, "create "+in)
			}
		case "write", "pwrite64":
			ops = append(ops, "write "+in)
		case "ftruncate":
			ops = append(ops, "truncate "+in)
		case "fsync", "fdatasync":
			ops = append(ops, "sync "+in)
		case "unlink", "unlinkat":
			delete(there, in)
			ops = append(ops, "delete "+in)
		}
	}
	return ops
}

// The syncs that the disk model takes for granted are made, and in that order: what
// the recorder writes down of a run is what strace sees of it, operation by
// operation. Otherwise the images would be of a disk that holds more than it does.
func TestTracer(t *testing.T) {
	t.Parallel()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("LOUD: strace is not installed, so nobody sees that the syncs are made which the images of power losses rely on; install it: apt-get install strace")
	}
	for seed, left := uint64(1), 4; left > 0; seed++ {
		p := newPlan(seed)
		has := func(v verb) bool { return slices.ContainsFunc(p.steps, func(s step) bool { return s.verb == v }) }
		if has(doTogether) || !has(reopen) {
			continue // two at once have no order; and the second Open is another than the first
		}
		left--
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			believed, made := trace(t, strace, seed)
			require.Equal(t, strings.Join(believed, "\n"), strings.Join(made, "\n"))
			for _, op := range []string{"sync .", "sync " + journalName, "sync " + logName, "sync " + ownersName, "delete " + logName} {
				require.Contains(t, made, op)
			}
		})
	}
}

// trace records a run of a seed under strace, and returns what the recorder and
// strace say of it.
func trace(t *testing.T, strace string, seed uint64) (believed, made []string) {
	t.Helper()
	place := t.TempDir()
	run := tracedRun{Folder: filepath.Join(place, "disk"), Seed: seed, Marks: filepath.Join(place, "marks"), Log: filepath.Join(place, "log")}
	require.NoError(t, os.Mkdir(run.Folder, 0o700))
	text, err := json.Marshal(run)
	require.NoError(t, err)
	self, err := os.Executable()
	require.NoError(t, err)
	file := filepath.Join(place, "trace")
	cmd := exec.Command(strace, "-f", "-y", "-qq", "-s", "200", "-e", "signal=none", "-o", file,
		"-e", "trace=openat,write,pwrite64,ftruncate,fsync,fdatasync,unlink,unlinkat", self)
	cmd.Env = append(os.Environ(), tracedEnv+"="+string(text), "GORACE=atexit_sleep_ms=0")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return slices.Compact(readLines(t, run.Log)), slices.Compact(run.seen(t, file))
}
