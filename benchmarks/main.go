// Command benchmarks measures idem against the floor below it and the peers beside it, and prints the tables of
// the performance page. Each configuration runs as a fresh process, the configurations take turns, and what counts
// is the median of the ratios within a round: absolute figures do not travel from one machine to another.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// options are what one run is asked for.
type options struct {
	quick   bool
	dir     string
	tables  string
	only    string
	ref     string
	callers []int
	rounds  int
	warmup  time.Duration
	measure time.Duration
	rows    int
	kills   int
	strace  bool
	profile string
}

func main() {
	child := flag.String("child", "", "internal: do what this spec says and print the result")
	opt, callers := options{}, ""
	flag.BoolVar(&opt.quick, "quick", false, "one short round, a tenth of the rows: a look in under two minutes")
	flag.StringVar(&opt.dir, "dir", "", "folder for scratch files, on the disk that is to be measured (default $TMPDIR, or scratch/ here)")
	flag.StringVar(&opt.tables, "tables", "abcdefgh", "which tables to print")
	flag.StringVar(&opt.only, "only", "", "measure only configurations whose name holds one of these, comma-separated")
	flag.StringVar(&opt.ref, "ref", "idem", "the configuration that ratios are taken against")
	flag.StringVar(&callers, "callers", "1,64", "how many callers at once, comma-separated")
	flag.IntVar(&opt.rounds, "rounds", 0, "rounds (default 5; 1 if quick)")
	flag.DurationVar(&opt.measure, "time", 0, "measured time of a configuration in a round (default 5s; 800ms if quick)")
	flag.DurationVar(&opt.warmup, "warmup", 0, "time before it is measured (default 1s; 250ms if quick)")
	flag.IntVar(&opt.rows, "rows", 0, "settled intents in the big journal (default 1000000; 50000 if quick)")
	flag.IntVar(&opt.kills, "kills", 0, "take-overs to time (default 200; 25 if quick)")
	flag.BoolVar(&opt.strace, "strace", false, "count syncs a pair too, where strace is installed (default: on unless quick)")
	flag.StringVar(&opt.profile, "profile", "", "folder for CPU and allocation profiles of each configuration; the figures suffer a little")
	flag.Parse()
	if *child != "" {
		os.Exit(runChild(*child))
	}
	if err := opt.complete(callers); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := drive(ctx, opt); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// complete fills in what was not asked for.
func (o *options) complete(callers string) error {
	pick := func(normal, quick int) int {
		if o.quick {
			return quick
		}
		return normal
	}
	if o.rounds == 0 {
		o.rounds = pick(5, 1)
	}
	if o.rows == 0 {
		o.rows = pick(1_000_000, 50_000)
	}
	if o.kills == 0 {
		o.kills = pick(200, 25)
	}
	if o.measure == 0 {
		o.measure = time.Duration(pick(5000, 800)) * time.Millisecond
	}
	if o.warmup == 0 {
		o.warmup = time.Duration(pick(1000, 250)) * time.Millisecond
	}
	asked := false
	flag.Visit(func(f *flag.Flag) { asked = asked || f.Name == "strace" })
	if !asked {
		o.strace = !o.quick
	}
	for _, word := range strings.Split(callers, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(word))
		if err != nil || n < 1 {
			return fmt.Errorf("-callers %q: each must be a number above 0", callers)
		}
		o.callers = append(o.callers, n)
	}
	if o.profile != "" {
		abs, err := filepath.Abs(o.profile)
		if err != nil {
			return err
		}
		o.profile = abs
		if err := os.MkdirAll(abs, 0o755); err != nil {
			return err
		}
	}
	if o.dir == "" {
		if o.dir = os.Getenv("TMPDIR"); o.dir == "" {
			o.dir = "scratch"
		}
	}
	return os.MkdirAll(o.dir, 0o700)
}

// quickLimit is when a quick run begins nothing more, so that it ends within two minutes on a busy machine too.
const quickLimit = 85 * time.Second

// drive measures what the asked tables need and prints each table as soon as it can.
func drive(ctx context.Context, opt options) (err error) {
	d, err := newDriver(opt)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	if err := d.printMachine(); err != nil {
		return err
	}
	steps := []struct {
		tables string
		prints bool // what was measured before, which takes no time
		run    func(context.Context) error
	}{
		{"abg", false, d.measureJournals}, {"a", true, d.tableFloor}, {"b", true, d.tablePeers},
		{"cg", false, d.measureHTTP}, {"c", true, d.tableHTTP}, {"g", true, d.tableCost},
		{"f", false, d.tableTakeOver}, {"h", false, d.tableReplay},
		{"d", false, d.tableGrowth}, {"e", false, d.tableRecovery},
	}
	for _, s := range steps {
		if !strings.ContainsAny(opt.tables, s.tables) {
			continue
		}
		if opt.quick && !s.prints && time.Since(d.started) > quickLimit {
			fmt.Printf("\nLeft out, because this machine is busy and a quick run ends in time: (%s). Ask for it with -tables.\n", s.tables)
			continue
		}
		if err := s.run(ctx); err != nil {
			return err
		}
	}
	return nil
}
