package contracts_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every profile is a function in a file of its own, is tested, and says in its
// comment which document its facts are from.
func TestSources(t *testing.T) {
	t.Parallel()
	source := regexp.MustCompile(`https://\S+|github\.com/[\w.-]+/[\w.-]+`)
	entries, err := os.ReadDir(".")
	require.NoError(t, err)
	var found []string
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), e.Name(), nil, parser.ParseComments)
		require.NoError(t, err)
		exported := 0
		for _, d := range file.Decls {
			if g, ok := d.(*ast.GenDecl); ok {
				require.NotEqual(t, token.VAR, g.Tok, "%s has a package variable", e.Name())
			}
			f, ok := d.(*ast.FuncDecl)
			if !ok || !f.Name.IsExported() {
				continue
			}
			exported++
			found = append(found, f.Name.Name)
			comment := f.Doc.Text()
			require.Contains(t, comment, "Source:", f.Name.Name)
			require.Regexp(t, source, comment, f.Name.Name)
			for _, fact := range []string{"Key: ", "etention", "ther bytes", "flight"} {
				require.Contains(t, comment, fact, f.Name.Name)
			}
		}
		require.LessOrEqual(t, exported, 1, e.Name())
	}
	var tested []string
	for _, p := range profiles() {
		tested = append(tested, p.function)
	}
	slices.Sort(found)
	slices.Sort(tested)
	require.Equal(t, tested, found)
}
