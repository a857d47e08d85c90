package idem_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const modulePath = "github.com/idem-go/idem"

// arrows returns which packages of this repository the non-test files of a package
// may import: the picture in CONTRIBUTING.md. A package that is not named here may
// import no other.
func arrows() map[string][]string {
	facts := []string{"journal"}
	mechanisms := []string{
		"internal/fingerprint", "internal/lifecycle", "internal/codec", "internal/clock", "internal/lockfile", "internal/localfs",
		"journal",
	}
	root := append([]string{"internal/seal", "internal/sqlite", "internal/wire"}, mechanisms...)
	public := []string{"", "journal"}
	return map[string][]string{
		"":                     root,
		"internal/seal":        mechanisms,
		"internal/sqlite":      mechanisms,
		"internal/wire":        mechanisms,
		"internal/fingerprint": facts,
		"internal/lifecycle":   facts,
		"internal/codec":       facts,
		"internal/clock":       facts,
		"internal/lockfile":    facts,
		"internal/localfs":     facts,
		"journal/journaltest":  facts,
		"contracts":            public,
		"recipes":              public,
		"server":               public,
		"idemtest":             public,
		"otel":                 public,
		"mcp":                  public,
		"eino":                 public,
		"pgjournal":            facts,
		"cmd":                  append([]string{"pgjournal"}, public...),

		// Test support, which no program contains.
		"internal/testkit":           {"internal/wire", "internal/fingerprint", "journal"},
		"internal/testkit/clientkit": {"", "journal", "idemtest", "internal/testkit"},
	}
}

// programs are folders whose packages are used by nothing else and may import every
// public package.
func programs() []string {
	return []string{"examples", "lab", "benchmarks", "server/strangers", "tools"}
}

// goFile is one Go file of the repository and what it imports.
type goFile struct {
	path    string // from the repository's root, with slashes
	pkg     string // its folder; empty: the root package
	module  string // the folder of its go.mod; empty: the root module
	imports []string
}

func (f goFile) isTest() bool { return strings.HasSuffix(f.path, "_test.go") }

// goFiles reads the imports of every Go file of the repository, whatever system it
// is for.
func goFiles(t *testing.T) (files []goFile) {
	t.Helper()
	modules := map[string]string{}
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		if d.IsDir() {
			if name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
				return fs.SkipDir
			}
			modules[name] = modules[path.Dir(name)]
			if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil && name != "." {
				modules[name] = name
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		f := goFile{path: name, pkg: strings.TrimPrefix(path.Dir(name), "."), module: modules[path.Dir(name)]}
		for _, i := range parsed.Imports {
			imported, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			f.imports = append(f.imports, imported)
		}
		files = append(files, f)
		return nil
	})
	require.NoError(t, err)
	require.NotEmpty(t, files)
	return files
}

// own returns the folder of an imported package of this repository.
func own(imported string) (string, bool) {
	if imported == modulePath {
		return "", true
	}
	return strings.CutPrefix(imported, modulePath+"/")
}

func inFolder(pkg string, folders ...string) bool {
	return slices.ContainsFunc(folders, func(f string) bool { return pkg == f || strings.HasPrefix(pkg, f+"/") })
}

// TestImports_EachPackage_FollowsTheRule: imports point one way, so that a package
// can be read and changed with only those below it in mind, and a store can be
// written outside this repository.
func TestImports_EachPackage_FollowsTheRule(t *testing.T) {
	t.Parallel()
	allowed := arrows()
	seen := map[string]bool{}
	for _, f := range goFiles(t) {
		seen[f.pkg] = true
		if f.isTest() {
			continue
		}
		for _, imported := range f.imports {
			pkg, ok := own(imported)
			switch {
			case !ok, pkg == f.pkg:
			case inFolder(pkg, "internal/testkit") && inFolder(f.pkg, "internal/testkit"):
			case f.module != "" && inFolder(pkg, f.module): // a package of the same nested module
			case inFolder(f.pkg, programs()...):
				require.False(t, inFolder(pkg, "internal"), "%s imports %s: a program uses what its users can use", f.path, imported)
			default:
				top := f.pkg
				if f.module != "" {
					top, _, _ = strings.Cut(f.module, "/")
				}
				require.True(t, slices.Contains(allowed[top], pkg), "%s imports %s: that arrow is not in the picture of CONTRIBUTING.md", f.path, imported)
			}
		}
	}
	for _, pkg := range []string{"", "journal", "internal/lifecycle", "internal/sqlite", "internal/wire"} {
		require.True(t, seen[pkg], "no file of %q was read", pkg)
	}
}

// libraryModules are the modules that the library is built with.
func libraryModules() []string {
	return []string{
		"github.com/go-json-experiment/json",
		"github.com/google/uuid",
		"github.com/hashicorp/go-retryablehttp",
		"github.com/mattn/go-sqlite3",
		"golang.org/x/sys",
	}
}

const testModule = "github.com/stretchr/testify"

// thirdParty returns the module of an imported package that is neither of the
// standard library nor of this repository.
func thirdParty(imported string) string {
	first, _, _ := strings.Cut(imported, "/")
	if _, ok := own(imported); ok || !strings.Contains(first, ".") {
		return ""
	}
	for _, m := range append(libraryModules(), testModule) {
		if imported == m || strings.HasPrefix(imported, m+"/") {
			return m
		}
	}
	return imported
}

// TestImports_ThirdParty_OnlyWhereTheyBelong: the library depends on few modules.
// One package or file calls SQLite, one the retry loop, and two call the system.
func TestImports_ThirdParty_OnlyWhereTheyBelong(t *testing.T) {
	t.Parallel()
	used := map[string]bool{}
	for _, f := range goFiles(t) {
		if f.module != "" {
			continue
		}
		for _, imported := range f.imports {
			switch module := thirdParty(imported); {
			case module == "", f.isTest() && (module == testModule || slices.Contains(libraryModules(), module)):
			case module == testModule:
				require.True(t, inFolder(f.pkg, "internal/testkit"), "%s imports %s, which is for tests", f.path, imported)
			default:
				require.Contains(t, libraryModules(), module, "%s imports %s, which is not among this module's dependencies", f.path, imported)
				used[module] = true
				switch module {
				case "github.com/mattn/go-sqlite3":
					require.Equal(t, "internal/sqlite", f.pkg, "%s imports %s", f.path, imported)
				case "github.com/hashicorp/go-retryablehttp":
					require.Equal(t, "retry.go", f.path, "%s imports %s", f.path, imported)
				case "golang.org/x/sys":
					require.Contains(t, []string{"internal/lockfile", "internal/localfs"}, f.pkg, "%s imports %s", f.path, imported)
				}
			}
		}
	}
	require.Equal(t, libraryModules(), slices.Sorted(maps.Keys(used)), "what the library uses")

	text, err := os.ReadFile("go.mod")
	require.NoError(t, err)
	var direct []string
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) == 2 && strings.HasPrefix(fields[1], "v") {
			direct = append(direct, fields[0]) // an indirect one has a comment
		}
	}
	require.ElementsMatch(t, append(libraryModules(), testModule), direct, "what go.mod requires directly")
}
