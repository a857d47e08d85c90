//go:build linux && cgo

package mutants

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// tree is a copy of the repository, which does not change while the mutants are judged.
type tree struct {
	to   string // the copy
	temp string // the temporary files of the programs that run in the copy
	lib  *library
}

// copyTree copies the root module, and with withLab the lab, which is a module of its
// own. It leaves out the other modules.
func copyTree(root string, withLab bool) (*tree, error) {
	folder, err := os.MkdirTemp("", "idem-mutants-")
	if err != nil {
		return nil, err
	}
	t := &tree{to: filepath.Join(folder, "idem"), temp: filepath.Join(folder, "tmp")}
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
	if err == nil {
		t.lib, err = readLibrary(t.to)
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

// overlay writes the files that a mutant changes into folder, and the overlay that has
// the go command read them in place of the copy's. It returns the overlay's path.
func (t *tree) overlay(folder string, changed map[string]string) (string, error) {
	replace := map[string]string{}
	for file, text := range changed {
		to := filepath.Join(folder, strings.ReplaceAll(file, "/", "-"))
		if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(t.to, file)] = to
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(folder, "overlay.json")
	return path, os.WriteFile(path, text, 0o600)
}
