// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"strconv"
	"strings"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

// concurrencyOf reads disableConcurrentBuilds(abortPrevious: true).
func concurrencyOf(p *jenkinsfile.Pipeline) (none, abortPrevious bool) {
	for _, d := range p.Options {
		if d.Name != "disableConcurrentBuilds" {
			continue
		}
		none = true
		for _, a := range d.Args {
			if c, ok := a.Value.(*jenkinsfile.Constant); ok && a.Name == "abortPrevious" {
				abortPrevious = c.Value == true
			}
		}
	}
	return none, abortPrevious
}

// discarderOf reads buildDiscarder(logRotator(numToKeepStr: '10', daysToKeepStr: '7')); what is not
// a constant there counts as not set.
func discarderOf(p *jenkinsfile.Pipeline) store.Discard {
	var out store.Discard
	for _, d := range p.Options {
		if d.Name != "buildDiscarder" || len(d.Args) != 1 {
			continue
		}
		rotator, ok := d.Args[0].Value.(*jenkinsfile.Call)
		if !ok || rotator.Name != "logRotator" {
			continue
		}
		for _, a := range rotator.Args {
			switch a.Name {
			case "numToKeepStr", "numToKeep":
				out.Num = constInt(a.Value)
			case "daysToKeepStr", "daysToKeep":
				out.Days = constInt(a.Value)
			}
		}
	}
	return out
}

func constInt(e jenkinsfile.Expr) int {
	c, ok := e.(*jenkinsfile.Constant)
	if !ok {
		return 0
	}
	switch v := c.Value.(type) {
	case int64:
		return int(v)
	case string:
		n, err := strconv.Atoi(strings.TrimSpace(v))
		if err == nil {
			return n
		}
	}
	return 0
}
