package idem_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const modulePath = "github.com/idem-go/idem"

// The four modules that the library itself uses, and the one of its tests.
func allowedModules() []string {
	return []string{
		"github.com/go-json-experiment/json",
		"github.com/google/uuid",
		"github.com/hashicorp/go-retryablehttp",
		"github.com/mattn/go-sqlite3",
	}
}

const testModule = "github.com/stretchr/testify"

// importsUnder reads the imports of every Go file under a folder, whatever system
// it is for, and calls see for each. Folders that are modules of their own are
// left out.
func importsUnder(t *testing.T, folder string, see func(file, imported string)) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			_, err := os.Stat(filepath.Join(path, "go.mod"))
			hidden := strings.HasPrefix(d.Name(), ".") && path != folder
			if hidden || d.Name() == "testdata" || (err == nil && path != folder) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, i := range parsed.Imports {
			name, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			see(path, name)
		}
		return nil
	})
	require.NoError(t, err)
}

// moduleOf is the module of third-party code that an import belongs to; empty: the
// standard library, C, or this module.
func moduleOf(imported string) string {
	first, _, _ := strings.Cut(imported, "/")
	if !strings.Contains(first, ".") || imported == modulePath || strings.HasPrefix(imported, modulePath+"/") {
		return ""
	}
	for _, m := range append(allowedModules(), testModule) {
		if imported == m || strings.HasPrefix(imported, m+"/") {
			return m
		}
	}
	return imported
}

// The library depends on four modules and nothing else; its tests on one more.
func TestDependencies(t *testing.T) {
	t.Parallel()
	used := map[string]string{}
	importsUnder(t, ".", func(file, imported string) {
		module := moduleOf(imported)
		if module == "" {
			return
		}
		isTest := strings.HasSuffix(file, "_test.go")
		require.True(t, slices.Contains(allowedModules(), module) || (isTest && module == testModule),
			"%s imports %s, which is not among this module's dependencies", file, imported)
		if !isTest && !strings.Contains(file, string(filepath.Separator)) {
			used[module] = file
		}
	})
	require.Equal(t, allowedModules(), slices.Sorted(maps.Keys(used)), "what the root package uses")

	text, err := os.ReadFile("go.mod")
	require.NoError(t, err)
	var direct []string
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) == 2 && strings.HasPrefix(fields[1], "v") {
			direct = append(direct, fields[0]) // an indirect one has a comment
		}
	}
	require.Equal(t, append(allowedModules(), testModule), direct, "what go.mod requires directly")
}

// An import never runs upward: the root package knows none of the folders beside
// it, and only its tests use them.
func TestRootImportsNoFolder(t *testing.T) {
	t.Parallel()
	seen := 0
	importsUnder(t, ".", func(file, imported string) {
		if strings.HasSuffix(file, "_test.go") || strings.Contains(file, string(filepath.Separator)) {
			return
		}
		seen++
		require.False(t, imported == modulePath || strings.HasPrefix(imported, modulePath+"/"),
			"%s imports %s: the root package imports nothing of this project", file, imported)
	})
	require.Positive(t, seen)
}
