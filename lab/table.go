//go:build linux && cgo

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/idem-go/idem/lab/kill"
)

// row is one line of the table. Its columns are as wide as a nightly run needs, so
// that each line can be printed as soon as its suite has ended.
const row = "%-38s %8v %-8s %6v %9v\n"

// runAll runs suites one after the other and prints a table. It tells whether all
// of them were run and found nothing. Where there is no strace, what needs it is not
// run, which the table's end says.
func runAll(ctx context.Context, out io.Writer, suites []suite, s scale) bool {
	good := len(suites) > 0
	began := time.Now()
	var problems []string
	tried, broken := 0, 0
	fmt.Fprintf(out, row, "suite", "tried", "", "broken", "time")
	for _, one := range suites {
		began := time.Now()
		n, err := one.run(ctx, s)
		if errors.Is(err, kill.ErrNoStrace) {
			problems = append(problems, fmt.Sprintf("!! %s did not run: %v", one.name, err))
			n, err = counts{unit: "NOT RUN"}, nil
		}
		if err != nil {
			problems = append(problems, fmt.Sprintf("%s: %v", one.name, err))
		}
		for _, line := range n.found {
			problems = append(problems, fmt.Sprintf("%s: %s", one.name, line))
		}
		good = good && err == nil && n.broken == 0
		tried, broken = tried+n.tried, broken+n.broken
		fmt.Fprintf(out, row, one.name, n.tried, n.unit, n.broken, time.Since(began).Round(time.Second/10))
		for _, line := range n.detail {
			fmt.Fprintf(out, "    %s\n", line)
		}
		if ctx.Err() != nil {
			break // the counts so far stand above
		}
	}
	fmt.Fprintf(out, row, "all", tried, "", broken, time.Since(began).Round(time.Second/10))
	for _, p := range problems {
		fmt.Fprintln(out, p)
	}
	return good
}
