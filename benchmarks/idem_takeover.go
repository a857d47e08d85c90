package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"time"
)

// holdingMark is the line by which a holder says that its request is on its way.
const holdingMark = "idem-benchmark-holding"

// hold runs one intent whose request never gets an answer, until the process is killed.
func hold(s spec) error {
	c, err := openIdem(s.Dir, silent{})
	if err != nil {
		return err
	}
	return doCharge(context.Background(), c, "api.example.test", s.First)
}

// silent is a RoundTripper that says that it was asked, and never answers.
type silent struct{}

func (silent) RoundTrip(req *http.Request) (*http.Response, error) {
	fmt.Println(holdingMark)
	<-req.Context().Done()
	return nil, req.Context().Err()
}

// takeOver times s.Rows take-overs. Each time another process holds an intent, this one waits for it, the holder is
// killed with SIGKILL, and the clock runs from the kill until Do returns here: the outcome is then on disk.
func takeOver(s spec) (res result, err error) {
	c, err := openIdem(s.Dir, new(answering))
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	for n := range s.Rows {
		took, err := takeOverOne(s, n, func() error { return doCharge(context.Background(), c, "api.example.test", n) })
		if err != nil {
			return res, fmt.Errorf("take-over %d: %w", n, err)
		}
		res.Samples = append(res.Samples, took)
	}
	return res, nil
}

func takeOverOne(s spec, n int, do func() error) (time.Duration, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	holder := exec.Command(self, "-child", spec{Kind: "hold", Dir: s.Dir, First: n}.String())
	out, err := holder.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := holder.Start(); err != nil {
		return 0, err
	}
	defer holder.Wait() // it was killed; there is nothing to learn from it
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != holdingMark {
		holder.Process.Kill()
		return 0, fmt.Errorf("the holder did not hold: %s", lines.Text())
	}
	done := make(chan error, 1)
	go func() { done <- do() }()
	// Long enough for the waiter to be waiting, and never at the same point of its polling.
	time.Sleep(30*time.Millisecond + rand.N(25*time.Millisecond))
	start := time.Now()
	if err := holder.Process.Kill(); err != nil {
		return 0, err
	}
	err = <-done
	return time.Since(start), err
}
