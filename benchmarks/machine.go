package main

import (
	"bufio"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/mattn/go-sqlite3"
)

// printMachine names the machine, since a figure without it says nothing.
func (d *driver) printMachine() error {
	growing, err := syncLatency(d.dir, false)
	if err != nil {
		return err
	}
	allocated, err := syncLatency(d.dir, true)
	if err != nil {
		return err
	}
	lib, _, _ := sqlite3.Version()
	kind := fileSystem(d.dir)
	fmt.Printf("# Benchmarks\n\n")
	fmt.Printf("| | |\n|---|---|\n")
	row := func(name, format string, args ...any) {
		fmt.Printf("| %s | %s |\n", name, fmt.Sprintf(format, args...))
	}
	row("CPU", "%s, %d cores", field("/proc/cpuinfo", "model name", runtime.GOARCH), runtime.NumCPU())
	row("kernel", "%s %s", runtime.GOOS, word("/proc/sys/kernel/osrelease", 0))
	row("scratch folder", "%s", kind)
	row("a 4 KiB write and its sync, median", "growing, fsync %v; preallocated, fdatasync %v", growing, allocated)
	row("Go", "%s", runtime.Version())
	row("SQLite", "go-sqlite3 %s; modernc.org/sqlite %s (DBOS, go-workflows, durabletask-go)", lib, pureVersion())
	row("load when it began", "%s", word("/proc/loadavg", 0))
	row("run", "%d rounds of %v after %v, %s", d.opt.rounds, d.opt.measure, d.opt.warmup, time.Now().UTC().Format("2006-01-02 15:04 UTC"))
	fmt.Printf("\nA pair is one intent: a durable record of %d B before, a durable outcome of %d B after. "+
		"Rates are the medians of the rounds, ratios the medians of the ratios within a round.\n", payloadSize, outcomeSize)
	if kind == "tmpfs" || kind == "ramfs" {
		fmt.Printf("\n**The scratch folder is in memory: nothing here is durable and no figure means anything. Use -dir.**\n")
	}
	return nil
}

// syncLatency is the median time of a 4 KiB write and its sync, into a growing file or over existing blocks.
func syncLatency(dir string, allocated bool) (time.Duration, error) {
	f, err := os.CreateTemp(dir, "sync-")
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	const turns = 300
	block := make([]byte, 4096)
	sync := (*os.File).Sync
	if allocated {
		sync = dataSync
		for i := range turns {
			if _, err := f.WriteAt(block, int64(i*len(block))); err != nil {
				return 0, err
			}
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
	}
	var times []time.Duration
	for i := range turns {
		start := time.Now()
		if _, err := f.WriteAt(block, int64(i*len(block))); err != nil {
			return 0, err
		}
		if err := sync(f); err != nil {
			return 0, err
		}
		times = append(times, time.Since(start))
	}
	slices.Sort(times)
	return times[turns/2].Round(time.Microsecond), nil
}

func pureVersion() string {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		return err.Error()
	}
	defer db.Close()
	var v string
	if err := db.QueryRow(`SELECT sqlite_version()`).Scan(&v); err != nil {
		return err.Error()
	}
	return v
}

// fileSystem is the type of the mount that holds a folder; "unknown" where there is no /proc.
func fileSystem(dir string) string {
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	best, kind := "", "unknown"
	eachLine("/proc/self/mounts", func(line string) {
		f := strings.Fields(line)
		if len(f) < 3 || len(f[1]) < len(best) {
			return
		}
		if f[1] == "/" || dir == f[1] || strings.HasPrefix(dir, f[1]+"/") {
			best, kind = f[1], f[2]
		}
	})
	return kind
}

// field is the first value of a name in a file of "name : value" lines.
func field(path, name, otherwise string) string {
	found := otherwise
	done := false
	eachLine(path, func(line string) {
		k, v, ok := strings.Cut(line, ":")
		if !done && ok && strings.TrimSpace(k) == name {
			found, done = strings.TrimSpace(v), true
		}
	})
	return found
}

// word is the nth word of a small file, empty where there is no such file.
func word(path string, n int) string {
	b, err := os.ReadFile(path)
	if f := strings.Fields(string(b)); err == nil && n < len(f) {
		return f[n]
	}
	return ""
}

func eachLine(path string, do func(string)) {
	f, err := os.Open(path)
	if err != nil {
		return // not Linux
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		do(lines.Text())
	}
}
