package idemtest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/idem-go/idem"
	"github.com/idem-go/idem/idemtest"
	"github.com/stretchr/testify/require"
)

// crashEnv makes this binary an agent: journal, server, and how it is broken.
const crashEnv = "IDEMTEST_AGENT"

func init() {
	args := strings.Split(os.Getenv(crashEnv), "|")
	if len(args) != 3 {
		return
	}
	if err := crashAgent(args[0], args[1], args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// crashAgent charges three orders, each once, however often it is started.
func crashAgent(journal, server, how string) error {
	if how == "fails" {
		return errors.New("out of sorts")
	}
	c, err := idem.Open(journal, idem.WithPolicy("charge", idem.Policy{
		Contract: idem.Stripe(),
		Retry:    idem.Retry{MaxAttempts: 20, MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond},
		Authorize: func(r *http.Request) error {
			idemtest.Point("about to send")
			r.Header.Set("Authorization", "Bearer sk_test_idem")
			return nil
		},
	}))
	if err != nil {
		return err
	}
	if _, err := c.Recover(context.Background()); err != nil {
		return err
	}
	for i := range 3 {
		id := fmt.Sprint("order-", i)
		if how == "mints IDs" { // as a model does that plans again
			id = fmt.Sprint("call-", os.Getpid(), "-", i)
		}
		req, err := http.NewRequest("POST", server+"/v1/charges", strings.NewReader(fmt.Sprintf("amount=%d&currency=usd", 500+i)))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		idemtest.Point("about to begin")
		resp, err := c.Do(req, idem.Operation{Name: "charge", ID: id})
		if err != nil {
			return err
		}
		idemtest.Point("answered")
		if err := resp.Body.Close(); err != nil {
			return err
		}
	}
	return c.Close()
}

func crashOf(s *idemtest.Server, journal, how string) idemtest.Crash {
	return idemtest.Crash{
		Command: func(int) *exec.Cmd {
			self, err := os.Executable()
			if err != nil {
				self = os.Args[0]
			}
			cmd := exec.Command(self)
			cmd.Env = append(os.Environ(), crashEnv+"="+journal+"|"+s.URL()+"|"+how, "GORACE=atexit_sleep_ms=0")
			return cmd
		},
		Seed: 1, Kills: 12, Server: s,
		Known: func() ([]idemtest.KnownIntent, error) { return idemtest.ReadKnown(context.Background(), journal) },
	}
}

// TestCrash: an agent that keeps its intents makes one effect of each order however
// it is killed; one that mints an ID each time it is started does not.
func TestCrash(t *testing.T) {
	t.Parallel()
	for _, agents := range []int{1, 3} {
		t.Run(fmt.Sprint(agents, " agents"), func(t *testing.T) {
			t.Parallel()
			s := idemtest.Start(t, idemtest.WithRandomFaults(1, 0.3, idemtest.DropAfter, idemtest.ResetBefore, idemtest.TooManyBare, idemtest.HoldReply))
			c := crashOf(s, filepath.Join(t.TempDir(), "agent.db"), "")
			c.Agents = agents
			report, err := c.Run(ctx(t))
			require.NoError(t, err)
			t.Log(report)
			require.Empty(t, report.Violations)
			require.Equal(t, 12+agents, report.Kills+report.Finished)
			require.GreaterOrEqual(t, report.Finished, agents)
			require.NotEmpty(t, report.AtPoints)
			require.Len(t, s.Effects(), 3)
		})
	}
	t.Run("an agent that mints its IDs", func(t *testing.T) {
		t.Parallel()
		s := idemtest.Start(t)
		c := crashOf(s, filepath.Join(t.TempDir(), "agent.db"), "mints IDs")
		c.Points = []string{"answered"}
		_, err := c.Run(ctx(t))
		require.NoError(t, err)
		require.Greater(t, len(s.Effects()), 3, "nobody noticed")
	})
	t.Run("an agent that fails", func(t *testing.T) {
		t.Parallel()
		s := idemtest.Start(t)
		c := crashOf(s, filepath.Join(t.TempDir(), "agent.db"), "fails")
		c.Within = time.Minute
		c.Points = []string{"answered"}
		_, err := c.Run(ctx(t))
		require.ErrorContains(t, err, "out of sorts")
	})
	t.Run("no agent", func(t *testing.T) {
		t.Parallel()
		_, err := idemtest.Crash{}.Run(ctx(t))
		require.ErrorContains(t, err, "needs a Command")
	})
}

// One's own agent, here this test's, is killed a dozen times, and charges each
// order once.
func ExampleCrash() {
	s, err := idemtest.NewServer(idemtest.WithRandomFaults(7, 0.2, idemtest.DropAfter, idemtest.ResetBefore))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	folder, err := os.MkdirTemp("", "crash")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	journal := filepath.Join(folder, "agent.db")
	report, err := idemtest.Crash{
		Command: crashOf(s, journal, "").Command, // exec.Command("./agent", …)
		Kills:   12,
		Server:  s,
		Known:   func() ([]idemtest.KnownIntent, error) { return idemtest.ReadKnown(context.Background(), journal) },
	}.Run(context.Background())
	fmt.Println(len(s.Effects()), "effects,", len(report.Violations), "violations", err)
	// Output: 3 effects, 0 violations <nil>
}
