package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// countSyncs runs each configuration once more under strace and counts fsync and fdatasync. What opening and closing
// alone cost is taken away. The rates of these runs are not used.
func (d *driver) countSyncs(ctx context.Context, list []entry, callers int, with spec) error {
	strace, err := exec.LookPath("strace")
	if err != nil {
		d.progress("strace is not installed: syncs are not counted")
		return nil
	}
	for _, e := range list {
		if e.group == groupHTTP {
			continue
		}
		s := with
		s.Subject, s.Callers, s.Warmup, s.Measure = e.name, callers, 100*time.Millisecond, 2*time.Second
		s.Kind = "open"
		idle, _, err := d.straced(ctx, strace, s)
		if err == nil {
			var busy int
			var res result
			s.Kind = "pairs"
			busy, res, err = d.straced(ctx, strace, s)
			if err == nil && res.Total > 0 {
				d.syncs[key(e.name, callers)] = float64(max(0, busy-idle)) / float64(res.Total)
			}
		}
		if err != nil {
			d.progress("syncs of %s are not counted: %v", e.name, err)
		}
	}
	return ctx.Err()
}

func (d *driver) straced(ctx context.Context, strace string, s spec) (int, result, error) {
	dir, remove, err := d.fresh("strace")
	if err != nil {
		return 0, result{}, err
	}
	defer remove()
	counts := filepath.Join(dir, "counts")
	s.Dir = filepath.Join(dir, "work")
	if err := os.Mkdir(s.Dir, 0o700); err != nil {
		return 0, result{}, err
	}
	res, err := d.child(ctx, s, strace, "-f", "--seccomp-bpf", "-c", "-e", "trace=fsync,fdatasync", "-o", counts)
	if err != nil {
		return 0, res, err
	}
	text, err := os.ReadFile(counts)
	if err != nil {
		return 0, res, err
	}
	n, err := sumCalls(string(text))
	return n, res, err
}

// sumCalls adds up the calls column of strace's summary; no line means no call.
func sumCalls(text string) (int, error) {
	sum := 0
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 5 || !strings.HasSuffix(fields[len(fields)-1], "sync") {
			continue
		}
		n, err := strconv.Atoi(fields[3])
		if err != nil {
			return 0, fmt.Errorf("strace printed a line that cannot be read: %q", line)
		}
		sum += n
	}
	return sum, nil
}
