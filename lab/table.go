//go:build linux && cgo

package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// runAll runs suites one after the other and prints a table. It tells whether all
// of them were run and found nothing.
func runAll(ctx context.Context, out io.Writer, suites []suite, s scale) bool {
	good := len(suites) > 0
	var problems []string
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "suite\ttried\tbroken\ttime\t")
	for _, one := range suites {
		began := time.Now()
		n, err := one.run(ctx, s)
		if err != nil {
			problems = append(problems, fmt.Sprintf("%s: %v", one.name, err))
		}
		for _, line := range n.found {
			problems = append(problems, fmt.Sprintf("%s: %s", one.name, line))
		}
		good = good && err == nil && n.broken == 0
		fmt.Fprintf(w, "%s\t%d %s\t%d\t%v\t%s\n", one.name, n.tried, n.unit, n.broken, time.Since(began).Round(time.Second/10), n.detail)
		w.Flush()
	}
	for _, p := range problems {
		fmt.Fprintln(out, p)
	}
	return good
}
