//go:build linux && cgo

// Package mutants breaks the library, in one small place at a time, and runs the
// tests that must notice it. A mutant that no test notices is a rule without a test.
//
// `go run ./lab -mutants` judges all of them in 20 minutes on two busy cores: it
// compiles and runs only the tests that a mutant names. `go test` only checks that
// every mutant fits the sources.
package mutants

import (
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Mutant is one small breakage of the library.
type Mutant struct {
	Name   string // short, unique
	Breaks string // what the breakage does
	Edits  []Edit // one, or a few that break the library only together

	// Imports are packages that the edited files import besides their own.
	Imports []string

	// Killers are the tests that must notice. Each of them is in one package of the
	// library.
	Killers []string

	// Race runs the killers under the race detector.
	Race bool

	// Suite names the suite of the lab that must notice, in place of Killers.
	Suite string

	// Equivalent says why no test can tell the mutant from the library. The mutant
	// must then survive. Empty: it must be killed.
	Equivalent string
}

// Edit replaces a text that stands exactly once in the sources of the library. It
// names no file, so that code may move from one to another.
type Edit struct{ Old, New string }

// All returns the mutants.
func All() []Mutant {
	return slices.Concat(journalMutants(), placeMutants(), fileMutants(), ownerMutants(), lifeMutants(), windowMutants(),
		wireMutants(), payloadMutants(), callMutants(), guardMutants(), toolMutants(), contractMutants())
}

// folders returns the folders of the library's packages, relative to the repository
// at root. Packages that only tests use are left out.
func folders(root string) ([]string, error) {
	all := []string{".", "journal", "contracts"}
	internal, err := os.ReadDir(filepath.Join(root, "internal"))
	for _, d := range internal {
		if d.IsDir() && d.Name() != "testkit" {
			all = append(all, "internal/"+d.Name())
		}
	}
	return all, err
}

// library is the text of the library: its sources, and where its tests are.
type library struct {
	sources map[string]string   // by path, relative to the repository
	tests   map[string][]string // the folders that have a test of that name
}

var testFunc = regexp.MustCompile(`(?m)^func (Test\w+)\(\w+ \*testing\.T\) \{`)

// readLibrary reads the library of the repository at root.
func readLibrary(root string) (*library, error) {
	l := &library{map[string]string{}, map[string][]string{}}
	all, err := folders(root)
	if err != nil {
		return nil, err
	}
	for _, folder := range all {
		files, err := filepath.Glob(filepath.Join(root, folder, "*.go"))
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			if !strings.HasSuffix(file, "_test.go") {
				l.sources[filepath.Join(folder, filepath.Base(file))] = string(text)
				continue
			}
			for _, test := range testFunc.FindAllSubmatch(text, -1) {
				name := string(test[1])
				l.tests[name] = append(l.tests[name], folder)
			}
		}
	}
	return l, nil
}

// mutate returns the files that the mutant changes, by path, as it leaves them.
func (l *library) mutate(m Mutant) (map[string]string, error) {
	changed := map[string]string{}
	for _, e := range m.Edits {
		times, at := 0, ""
		for file := range l.sources {
			if n := strings.Count(l.text(file, changed), e.Old); n > 0 {
				times, at = times+n, file
			}
		}
		if times != 1 {
			return nil, fmt.Errorf("mutant %q no longer applies: its text stands %d times in the sources, not once: fix the mutant: %q", m.Name, times, e.Old)
		}
		changed[at] = strings.Replace(l.text(at, changed), e.Old, e.New, 1)
	}
	for file, text := range changed {
		for _, path := range m.Imports {
			head, rest, _ := strings.Cut(text, "\nimport (")
			text = head + "\nimport (\n\t\"" + path + "\"" + rest
		}
		changed[file] = text
	}
	return changed, nil
}

// text returns a source file as the mutant has left it so far.
func (l *library) text(file string, changed map[string]string) string {
	if text, ok := changed[file]; ok {
		return text
	}
	return l.sources[file]
}

// folder returns the folder of a test.
func (l *library) folder(test string) (string, error) {
	switch in := l.tests[test]; len(in) {
	case 0:
		return "", fmt.Errorf("there is no test %s: name the test that must notice the mutant", test)
	case 1:
		return in[0], nil
	default:
		return "", fmt.Errorf("there is a test %s in each of %s: rename all but one", test, strings.Join(in, ", "))
	}
}

// Check reports whether every mutant fits the repository at root: each applies, is
// Go, and names tests that exist.
func Check(root string) error {
	l, err := readLibrary(root)
	if err != nil {
		return err
	}
	names := map[string]bool{}
	var errs []error
	for _, m := range All() {
		if names[m.Name] {
			errs = append(errs, fmt.Errorf("two mutants are called %q", m.Name))
		}
		names[m.Name] = true
		if err := l.check(m); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (l *library) check(m Mutant) error {
	switch {
	case m.Breaks == "" || len(m.Edits) == 0:
		return fmt.Errorf("mutant %q breaks nothing", m.Name)
	case (len(m.Killers) == 0) == (m.Suite == ""):
		return fmt.Errorf("mutant %q needs either tests or a suite that must notice it", m.Name)
	}
	for _, test := range m.Killers {
		if _, err := l.folder(test); err != nil {
			return fmt.Errorf("mutant %q: %w", m.Name, err)
		}
	}
	changed, err := l.mutate(m)
	if err != nil {
		return err
	}
	for file, text := range changed {
		if _, err := parser.ParseFile(token.NewFileSet(), file, text, parser.SkipObjectResolution); err != nil {
			return fmt.Errorf("mutant %q is not Go: fix the mutant: %w", m.Name, err)
		}
	}
	return nil
}

// Root returns the repository that a folder is in.
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
