// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
)

// maxCells bounds the cells of a matrix, before its excludes.
const maxCells = 512

// cell is one cell of a matrix: a stage and the values of its axes.
type cell struct {
	stage *jenkinsfile.Stage
	vars  [][2]string
}

// matrixSize is the number of cells before the excludes, at most maxCells+1.
func matrixSize(m *jenkinsfile.Matrix) int {
	n := 1
	for _, a := range m.Axes {
		if n *= len(a.Values); n > maxCells {
			return maxCells + 1
		}
	}
	return n
}

// cells lists the cells that are not excluded, in Jenkins' order: the first axis changes fastest.
func cells(m *jenkinsfile.Matrix) []*cell {
	list := [][][2]string{nil}
	for i := range m.Axes {
		axis := m.Axes[len(m.Axes)-1-i]
		var next [][][2]string
		for _, rest := range list {
			for _, v := range axis.Values {
				next = append(next, append([][2]string{{axis.Name, v}}, rest...))
			}
		}
		list = next
	}
	var out []*cell
	for _, vars := range list {
		if excluded(m, vars) {
			continue
		}
		names := make([]string, len(vars))
		for i, kv := range vars {
			names[i] = kv[0] + " = '" + kv[1] + "'"
		}
		st := *m.Stage
		st.Name = "Matrix - " + strings.Join(names, ", ")
		out = append(out, &cell{stage: &st, vars: vars})
	}
	return out
}

// excluded tells if all axes of one exclude match.
func excluded(m *jenkinsfile.Matrix, vars [][2]string) bool {
	return slices.ContainsFunc(m.Excludes, func(axes []*jenkinsfile.Axis) bool {
		return len(axes) > 0 && !slices.ContainsFunc(axes, func(a *jenkinsfile.Axis) bool {
			return !slices.ContainsFunc(vars, func(kv [2]string) bool {
				return kv[0] == a.Name && slices.Contains(a.Values, kv[1]) != a.Not
			})
		})
	})
}

func (b *build) matrixBranches(m *jenkinsfile.Matrix, skip string) []branch {
	var out []branch
	for _, c := range cells(m) {
		out = append(out, branch{c.stage.Name, func(ctx context.Context) error {
			return b.runStage(withFlow(ctx, func(f *flow) { f.cell = c }), c.stage, skip)
		}})
	}
	return out
}

// inCell runs body with the values of the axes as variables if a cell begins here. They hold in all of
// the cell, its when and agent included.
func (b *build) inCell(ctx context.Context, st *jenkinsfile.Stage, body func(context.Context) error) error {
	c := flowOf(ctx).cell
	if c == nil || c.stage != st {
		return body(ctx)
	}
	return b.runBlock(ctx, blockStep{name: "withEnv",
		before: func(ctx context.Context) (context.Context, error) { return b.overlay(ctx, c.vars), nil },
		body:   func(ctx context.Context, _ string) error { return body(ctx) },
	})
}

// skipsCheckout tells if the options of the cell that stage names have skipDefaultCheckout.
func (c *cell) skipsCheckout(b *build, stage string) bool {
	return c != nil && c.stage.Name == stage && b.option(c.stage.Options, "skipDefaultCheckout")
}
