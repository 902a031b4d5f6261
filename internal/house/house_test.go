package house

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/galerne-ai/galerne/internal/testdeps"
)

const module = "github.com/galerne-ai/galerne"

// floors is the law: a package imports packages of lower floors only. It is a statement of
// policy: mend the import, not this table.
var floors = map[string]int{
	"fault": 0, "dtype": 0, "terminal": 0,
	"metric": 1, "outbound": 1, "weights": 1, "kernel": 1, "tokenizer": 1, "jinja": 1, "grammar/automaton": 1, "grammar/regex": 1, "chat": 1, "ledger": 1,
	"expert": 2, "kv": 2, "sample": 2, "grammar": 2, "hub": 2, "db": 2,
	"nn": 3, "prompt": 3,
	"model":  4,
	"zoo":    5,
	"engine": 6,
	"serve":  7, "upstream": 7,
	"rag": 8, "depth": 8, "ground": 8, "govern": 8, "jobs": 8,
	"api": 9, "api/vector": 0, "api/cite": 8, "api/moderate": 8, "api/signature": 1, "api/openai/custom": 3,
	// A vendor on floor 11 speaks another's language and takes its handlers.
	"api/apitest": 10, "api/openai": 10, "api/anthropic": 10, "api/mistral": 10, "api/cohere": 10, "api/replicate": 10, "api/gemini": 10,
	"api/ollama": 10, "ui": 10,
	"api/openai/page": 11, "api/openai/responses": 12, "api/openai/batches": 12, "api/openai/stored": 12, "api/azure": 11, "api/bedrock": 11, "api/together": 11, "api/hf": 11,
	"house": 12, "testdeps": 0,
}

const (
	rootFloor = 11 // package galerne
	cmdFloor  = 13
)

const (
	maxFileLines = 600
	maxFuncLines = 60
	maxFiles     = 14 // of hand-written, untested-suffix Go files in a package: past that there are two ideas
)

type source struct {
	path  string // slash-separated, from the checkout's top
	file  *ast.File
	lines int
	fset  *token.FileSet
}

func (s source) dir() string     { return filepath.ToSlash(filepath.Dir(s.path)) }
func (s source) test() bool      { return strings.HasSuffix(s.path, "_test.go") }
func (s source) generated() bool { return ast.IsGenerated(s.file) }

// port reports whether the file is one system's version of another: memory_linux.go, stubs_amd64.go.
func (s source) port() bool {
	name := strings.TrimSuffix(s.path, ".go")
	switch name[strings.LastIndexByte(name, '_')+1:] {
	case "amd64", "arm64", "linux", "unix", "windows", "darwin", "other", "heap":
		return true
	}
	return false
}

func sources(t *testing.T) []source {
	t.Helper()
	root := testdeps.Root(t)
	var out []source
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && path != root && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, text, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		out = append(out, source{filepath.ToSlash(rel), file, strings.Count(string(text), "\n"), fset})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) < 10 {
		t.Fatalf("found only %d Go files: is this the checkout?", len(out))
	}
	return out
}

func floorOf(dir string) (int, error) {
	switch {
	case dir == ".":
		return rootFloor, nil
	case strings.HasPrefix(dir, "cmd/"), strings.HasPrefix(dir, "bench"), strings.HasPrefix(dir, "test"):
		return cmdFloor, nil
	case strings.HasPrefix(dir, "internal/"):
		if f, ok := floors[strings.TrimPrefix(dir, "internal/")]; ok {
			return f, nil
		}
	}
	return 0, fmt.Errorf("%s stands on no floor: give it one in internal/house", dir)
}

func TestImportsGoDownOnly(t *testing.T) {
	for _, s := range sources(t) {
		if s.test() {
			continue
		}
		own, err := floorOf(s.dir())
		if err != nil {
			t.Error(err)
			continue
		}
		for _, spec := range s.file.Imports {
			path, _ := strconv.Unquote(spec.Path.Value)
			if path == "C" {
				t.Errorf("%s uses cgo", s.path)
			}
			if path == "reflect" && strings.HasPrefix(s.path, "internal/") {
				t.Errorf("%s imports reflect", s.path)
			}
			if path != module && !strings.HasPrefix(path, module+"/") {
				continue
			}
			dir := strings.TrimPrefix(strings.TrimPrefix(path, module), "/")
			if dir == "" {
				dir = "."
			}
			below, err := floorOf(dir)
			if err != nil {
				t.Errorf("%s: %v", s.path, err)
			} else if below >= own {
				t.Errorf("%s (floor %d) imports %s (floor %d)", s.path, own, dir, below)
			}
			if dir == "internal/testdeps" && s.dir() != "internal/testdeps" {
				t.Errorf("%s imports testdeps, which is for tests", s.path)
			}
		}
	}
}

func TestShapes(t *testing.T) {
	files := map[string]int{}
	documented := map[string]bool{}
	for _, s := range sources(t) {
		if s.file.Doc != nil {
			documented[s.dir()] = true
		}
		if s.generated() {
			continue
		}
		if s.lines > maxFileLines {
			t.Errorf("%s has %d lines, at most %d", s.path, s.lines, maxFileLines)
		}
		if s.test() {
			continue
		}
		documented[s.dir()] = documented[s.dir()] || false
		if !s.port() {
			files[s.dir()]++
		}
		for _, decl := range s.file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			first, last := s.fset.Position(f.Pos()).Line, s.fset.Position(f.End()).Line
			if n := last - first + 1; n > maxFuncLines {
				t.Errorf("%s:%d %s has %d lines, at most %d", s.path, first, f.Name.Name, n, maxFuncLines)
			}
			if f.Name.Name == "init" && f.Recv == nil {
				t.Errorf("%s:%d has an init()", s.path, first)
			}
		}
	}
	for dir, n := range files {
		if n > maxFiles && !strings.HasPrefix(dir, "cmd/") { // there each command has a file

			t.Errorf("%s has %d files, at most %d: are there two ideas in it?", dir, n, maxFiles)
		}
		if !documented[dir] {
			t.Errorf("%s has no package comment", dir)
		}
	}
}

func TestEnvironmentIsReadInCmdOnly(t *testing.T) {
	for _, s := range sources(t) {
		if s.test() || strings.HasPrefix(s.path, "cmd/") || s.dir() == "internal/testdeps" { // which only tests import
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == "os" && x.Obj == nil {
				switch sel.Sel.Name {
				case "Getenv", "LookupEnv", "Environ", "ExpandEnv":
					t.Errorf("%s reads the environment (os.%s)", s.path, sel.Sel.Name)
				}
			}
			return true
		})
	}
}

// TestNoMutablePackageState allows package variables that are never assigned after their
// declaration: sentinels, embedded files and tables.
func TestNoMutablePackageState(t *testing.T) {
	type key struct{ dir, name string }
	declared := map[key]string{}
	all := sources(t)
	for _, s := range all {
		if s.test() || s.generated() {
			continue
		}
		for _, decl := range s.file.Decls {
			g, ok := decl.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, spec := range g.Specs {
				for _, name := range spec.(*ast.ValueSpec).Names {
					if name.Name == "_" {
						continue
					}
					declared[key{s.dir(), name.Name}] = s.path
				}
			}
		}
	}
	for _, s := range all {
		if s.test() || s.generated() {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			var targets []ast.Expr
			switch n := n.(type) {
			case *ast.AssignStmt:
				if n.Tok == token.DEFINE {
					return true
				}
				targets = n.Lhs
			case *ast.IncDecStmt:
				targets = []ast.Expr{n.X}
			}
			for _, target := range targets {
				if ix, ok := target.(*ast.IndexExpr); ok {
					target = ix.X
				}
				id, ok := target.(*ast.Ident)
				if !ok {
					continue
				}
				if path, ok := declared[key{s.dir(), id.Name}]; ok && (id.Obj == nil || isPackageVar(id, s.file)) {
					t.Errorf("%s:%d assigns to package variable %s (declared in %s)", s.path, s.fset.Position(id.Pos()).Line, id.Name, path)
				}
			}
			return true
		})
	}
}

// isPackageVar reports whether the identifier resolves to a declaration at the file's top level.
func isPackageVar(id *ast.Ident, file *ast.File) bool {
	return file.Scope.Lookup(id.Name) == id.Obj
}
