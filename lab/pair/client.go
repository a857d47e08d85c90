//go:build linux && cgo

package pair

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/idem-go/idem"
)

// openAgent opens the client's journal.
func openAgent(folder string) (*idem.Client, error) {
	return idem.Open(filepath.Join(folder, "agent.db"), idem.WithPolicy("*", idem.Policy{
		Contract: idem.Standard(),
		Retry:    idem.Retry{MaxAttempts: 4, MinBackoff: time.Millisecond, MaxBackoff: 5 * time.Millisecond, AttemptTimeout: 20 * time.Second},
	}))
}

// send recovers what an earlier client left open, and then begins one operation
// after another, from j.From on, until the process is killed. With j.Finish it only
// recovers, and ends when nothing is open.
func (j job) send() error {
	ctx := context.Background()
	c, err := openAgent(j.Folder)
	if err != nil {
		return err
	}
	if j.Finish {
		return errors.Join(finish(ctx, c), c.Close())
	}
	fmt.Println("ready")
	if _, err := c.Recover(ctx); err != nil {
		return err
	}
	var wg sync.WaitGroup
	for worker := range 2 {
		wg.Go(func() {
			for i := j.From + worker; ; i += 2 {
				j.ask(c, i)
				fmt.Println("did", i)
			}
		})
	}
	wg.Wait()
	return nil
}

// ask does operation i. It prints errors that are no result of an operation.
func (j job) ask(c *idem.Client, i int) {
	path := []string{inOne, inTwo}[i/2%2]
	req, err := http.NewRequest(http.MethodPost, j.URL+path, strings.NewReader(fmt.Sprint(i)))
	if err != nil {
		fmt.Fprintln(os.Stderr, "operation", i, err)
		return
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.Do(req, idem.Operation{Name: "charge", ID: fmt.Sprint("op-", i)})
	if err == nil {
		resp.Body.Close()
	} else if !errors.Is(err, idem.ErrInDoubt) {
		fmt.Fprintln(os.Stderr, "operation", i, err)
	}
}

// finish recovers until nothing is open.
func finish(ctx context.Context, c *idem.Client) error {
	for range 100 {
		report, err := c.Recover(ctx)
		if err != nil {
			return err
		}
		if report.Succeeded+report.Failed+report.InDoubt+report.Skipped == 0 {
			fmt.Println("finished")
			return nil
		}
	}
	return errors.New("an operation stays open")
}
