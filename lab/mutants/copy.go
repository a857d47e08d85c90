//go:build linux && cgo

package mutants

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// tree is a copy of the repository that may be broken.
type tree struct {
	from string // the repository
	to   string // the copy
	temp string // where what runs in it puts its files
}

// copyTree copies the root module, and the lab, which is a module of its own, if it
// is asked for. The others are left out.
func copyTree(root string, withLab bool) (*tree, error) {
	folder, err := os.MkdirTemp("", "idem-mutants-")
	if err != nil {
		return nil, err
	}
	t := &tree{from: root, to: filepath.Join(folder, "idem"), temp: filepath.Join(folder, "tmp")}
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		to := filepath.Join(t.to, name)
		switch {
		case d.IsDir():
			if name != "." && (strings.HasPrefix(d.Name(), ".") || isModule(path) && (name != "lab" || !withLab)) {
				return fs.SkipDir
			}
			return os.MkdirAll(to, 0o700)
		case d.Type().IsRegular():
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return os.WriteFile(to, text, 0o600)
		}
		return nil
	})
	if err == nil && withLab {
		err = t.replaceRoot()
	}
	if err == nil {
		err = os.Mkdir(t.temp, 0o700)
	}
	if err != nil {
		return nil, errors.Join(err, t.remove())
	}
	return t, nil
}

// replaceRoot makes the copied lab use the copied root module. Commands in the copy run
// without a workspace, whose go.work would do that.
func (t *tree) replaceRoot() error {
	name := filepath.Join(t.to, "lab", "go.mod")
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(text, "\nreplace "+module+" => ..\n"...), 0o600)
}

func isModule(folder string) bool {
	_, err := os.Stat(filepath.Join(folder, "go.mod"))
	return err == nil
}

func (t *tree) remove() error { return os.RemoveAll(filepath.Dir(t.to)) }

// apply breaks the copy; restore mends it. A mutant must fit the copy as it fitted
// the repository: sources that change meanwhile do not matter.
func (t *tree) apply(m Mutant) (restore func() error, err error) {
	changed, err := m.sources(t.to)
	if err != nil {
		return nil, err
	}
	whole := map[string][]byte{}
	for file := range changed {
		path := filepath.Join(t.to, file)
		if whole[path], err = os.ReadFile(path); err != nil {
			return nil, err
		}
	}
	restore = func() error {
		var errs []error
		for path, text := range whole {
			errs = append(errs, os.WriteFile(path, text, 0o600))
		}
		return errors.Join(errs...)
	}
	for file, text := range changed {
		if err := os.WriteFile(filepath.Join(t.to, file), text, 0o600); err != nil {
			return nil, errors.Join(err, restore())
		}
	}
	return restore, nil
}
