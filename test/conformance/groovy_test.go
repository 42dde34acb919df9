// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const groovy = "../../pkg/minijenkins/groovy/*.go"

// kinds are the values whose methods are listed, by the type of the parameter of the functions that
// implement them; those of numbers are in a file of their own.
var kinds = []struct{ name, param, file string }{
	{"String", "string", ""}, {"List", "*List", ""}, {"Map", "*Map", ""}, {"number", "", "numbers_methods.go"},
}

// methods lists the methods of Groovy's types, as the cases of the switches over the name of the called
// method that the interpreter consists of.
func methods(t *testing.T, b *strings.Builder) {
	t.Helper()
	files, err := filepath.Glob(groovy)
	if err != nil || len(files) == 0 {
		t.Fatal("no interpreter", err)
	}
	found := map[string]map[string]bool{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Body == nil || receiver(f) != "*methodCall" {
				continue
			}
			for _, k := range kinds {
				if k.file == filepath.Base(file) || k.param != "" && firstParam(f) == k.param {
					if found[k.name] == nil {
						found[k.name] = map[string]bool{}
					}
					names(f.Body, found[k.name])
				}
			}
		}
	}
	b.WriteString("## Groovy\n\nScripts run in a sandbox with limits of steps and memory. Methods of the common types, besides those that all values have:\n\n| Type | Methods |\n|---|---|\n")
	for _, k := range kinds {
		if len(found[k.name]) == 0 {
			t.Errorf("no methods of %s found: the interpreter is built in another way now", k.name)
		}
		fmt.Fprintf(b, "| %s | %s |\n", k.name, strings.Join(slices.Sorted(maps.Keys(found[k.name])), ", "))
	}
}

func receiver(f *ast.FuncDecl) string {
	if f.Recv == nil || len(f.Recv.List) != 1 {
		return ""
	}
	return typeName(f.Recv.List[0].Type)
}

func firstParam(f *ast.FuncDecl) string {
	if len(f.Type.Params.List) == 0 {
		return ""
	}
	return typeName(f.Type.Params.List[0].Type)
}

func typeName(x ast.Expr) string {
	switch x := x.(type) {
	case *ast.StarExpr:
		return "*" + typeName(x.X)
	case *ast.Ident:
		return x.Name
	}
	return ""
}

// names collects the cases of the switches over c.name.
func names(body *ast.BlockStmt, into map[string]bool) {
	ast.Inspect(body, func(n ast.Node) bool {
		s, ok := n.(*ast.SwitchStmt)
		if !ok {
			return true
		}
		tag, ok := s.Tag.(*ast.SelectorExpr)
		if !ok || tag.Sel.Name != "name" {
			return true
		}
		for _, c := range s.Body.List {
			for _, x := range c.(*ast.CaseClause).List {
				if lit, ok := x.(*ast.BasicLit); ok && lit.Kind == token.STRING {
					if name, err := strconv.Unquote(lit.Value); err == nil {
						into[name] = true
					}
				}
			}
		}
		return true
	})
}
