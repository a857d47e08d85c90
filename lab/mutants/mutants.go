//go:build linux && cgo

// Package mutants breaks the library on purpose, in one small place at a time, in a
// copy, and asks the suite to notice. A breakage that the suite does not notice is a
// rule that nothing tests.
//
// A run of all of them takes half an hour on two cores, five to eight seconds each,
// most of which is compiling, and a minute where a test has to wait for what a mutant
// never does. So no go test does it: go run ./lab -mutants does. What go test does is
// to see that every mutant still fits the sources.
package mutants

import (
	"bytes"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Mutant is one small breakage of the library.
type Mutant struct {
	Name   string // short, unique
	Breaks string // in words
	Edits  []Edit // one, or a few that are one breakage only together

	Package string   // the folder of the package that is broken; empty: the root
	Killers []string // its tests that have to notice

	// Race runs the killers under the race detector.
	Race bool

	// Suite, instead of Killers, is the lab's suite that has to notice.
	Suite string

	// Equivalent says why no test can tell the mutant from the library. It then has
	// to survive. Empty: it has to be killed.
	Equivalent string
}

// Edit replaces a text that stands exactly once in the package's sources: whatever
// file it is moved to, it is found.
type Edit struct{ Old, New string }

// All are the mutants.
func All() []Mutant {
	return slices.Concat(journalMutants(), placeMutants(), fileMutants(), ownerMutants(), lifeMutants(), windowMutants(),
		wireMutants(), payloadMutants(), callMutants(), guardMutants(), toolMutants(), contractMutants())
}

// sources is what the mutant's edits make of files of the repository at root, by
// their paths in it.
func (m Mutant) sources(root string) (map[string][]byte, error) {
	files, err := filepath.Glob(filepath.Join(root, m.Package, "*.go"))
	if err != nil {
		return nil, err
	}
	texts := map[string][]byte{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		if texts[file], err = os.ReadFile(file); err != nil {
			return nil, err
		}
	}
	changed := map[string][]byte{}
	for _, e := range m.Edits {
		times, at := 0, ""
		for file, text := range texts {
			if n := bytes.Count(text, []byte(e.Old)); n > 0 {
				times, at = times+n, file
			}
		}
		if times != 1 {
			return nil, fmt.Errorf("mutant %s no longer applies: its text stands %d times in the sources, not once: mend the mutant: %q", m.Name, times, e.Old)
		}
		texts[at] = bytes.Replace(texts[at], []byte(e.Old), []byte(e.New), 1)
		name, err := filepath.Rel(root, at)
		if err != nil {
			return nil, err
		}
		changed[name] = texts[at]
	}
	return changed, nil
}

// Check tells whether every mutant still fits the repository at root: that it
// applies, is Go, and names tests that are there.
func Check(root string) error {
	names := map[string]bool{}
	tests := map[string]string{}
	var stale []error
	for _, m := range All() {
		changed, err := m.sources(root)
		if err != nil {
			stale = append(stale, err)
			continue
		}
		for file, text := range changed {
			if _, err := parser.ParseFile(token.NewFileSet(), file, text, parser.SkipObjectResolution); err != nil {
				return fmt.Errorf("mutant %s is not Go: mend it: %w", m.Name, err)
			}
		}
		if tests[m.Package] == "" {
			if tests[m.Package], err = testsOf(filepath.Join(root, m.Package)); err != nil {
				return err
			}
		}
		switch {
		case names[m.Name]:
			return fmt.Errorf("two mutants are called %s", m.Name)
		case m.Breaks == "" || len(m.Edits) == 0:
			return fmt.Errorf("mutant %s breaks nothing", m.Name)
		case (len(m.Killers) == 0) == (m.Suite == ""):
			return fmt.Errorf("mutant %s needs either tests or a suite that have to notice it", m.Name)
		}
		for _, test := range m.Killers {
			if !strings.Contains(tests[m.Package], "\nfunc "+test+"(t *testing.T) {") {
				return fmt.Errorf("mutant %s: there is no test %s any more: name the one that has to notice it", m.Name, test)
			}
		}
		names[m.Name] = true
	}
	return errors.Join(stale...)
}

// testsOf is the text of a package's tests.
func testsOf(folder string) (string, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		return "", err
	}
	var all strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		all.WriteByte('\n')
		all.Write(text)
	}
	return all.String(), nil
}

// Root is the repository that folder is in.
func Root(folder string) (string, error) {
	at, err := filepath.Abs(folder)
	for err == nil {
		text, readErr := os.ReadFile(filepath.Join(at, "go.mod"))
		if readErr == nil && strings.HasPrefix(string(text), "module "+module+"\n") {
			return at, nil
		}
		if filepath.Dir(at) == at {
			err = fmt.Errorf("%s is not in the repository of %s: run it there", folder, module)
		}
		at = filepath.Dir(at)
	}
	return "", err
}

const module = "github.com/idem-go/idem"
