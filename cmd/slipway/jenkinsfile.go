// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/pmezard/go-difflib/difflib"
	"github.com/spf13/cobra"

	"github.com/slipway-dev/slipway/pkg/cli"
	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
)

// stdin is the name that stands for the standard input.
const stdin = "-"

func newJenkinsfileCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "jenkinsfile",
		Short: "Format, check and convert Jenkinsfiles",
	}
	command.AddCommand(newFormatCommand(), newCheckCommand(), newToJSONCommand(), newFromJSONCommand())
	return command
}

// inputs are the files of a command, the standard input without any.
func inputs(args []string) []string {
	if len(args) == 0 {
		return []string{stdin}
	}
	return args
}

// readInput reads a file, as far as a Jenkinsfile or a document may be long and one byte more.
func readInput(command *cobra.Command, name string) ([]byte, error) {
	in := command.InOrStdin()
	if name != stdin {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }() // it was only read
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, max(jenkinsfile.MaxSize, jenkinsfile.MaxJSONSize)+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return text, nil
}

// formatOptions say what becomes of formatted files.
type formatOptions struct{ write, diff, list bool }

func newFormatCommand() *cobra.Command {
	var options formatOptions
	command := &cobra.Command{
		Use:   "fmt [FILE|-]...",
		Short: "Format Jenkinsfiles",
		Long: "Format Jenkinsfiles: four blanks of indentation, each directive and step on a line of its own. Comments, strings and\n" +
			"the meaning stay; of Groovy code only the ends of lines change. Prints the result unless -w, -d or -l is given.\n" +
			"With -l it fails if a file is not formatted.",
		RunE: func(command *cobra.Command, args []string) error {
			unformatted := 0
			for _, name := range inputs(args) {
				changed, err := formatFile(command, name, options)
				if err != nil {
					return err
				}
				if changed {
					unformatted++
				}
			}
			if options.list && unformatted > 0 {
				return fmt.Errorf("not formatted: %d", unformatted)
			}
			return nil
		},
	}
	command.Flags().BoolVarP(&options.write, "write", "w", false, "write the result to the file")
	command.Flags().BoolVarP(&options.diff, "diff", "d", false, "print what changes")
	command.Flags().BoolVarP(&options.list, "list", "l", false, "print the names of files that are not formatted, and fail if there are any")
	return command
}

func formatFile(command *cobra.Command, name string, options formatOptions) (changed bool, err error) {
	text, err := readInput(command, name)
	if err != nil {
		return false, err
	}
	source := string(text)
	formatted, err := jenkinsfile.Format(source)
	if err != nil {
		return false, fmt.Errorf("%s: %w", name, err)
	}
	out := command.OutOrStdout()
	changed = formatted != source
	if !options.write && !options.diff && !options.list {
		_, err = io.WriteString(out, formatted)
		return changed, err
	}
	if !changed {
		return false, nil
	}
	if options.list {
		if _, err := fmt.Fprintln(out, name); err != nil {
			return true, err
		}
	}
	if options.diff {
		diff := difflib.UnifiedDiff{
			A: diffLines(source), B: diffLines(formatted), FromFile: name, ToFile: name + " (formatted)", Context: 3,
		}
		if err := difflib.WriteUnifiedDiff(out, diff); err != nil {
			return true, fmt.Errorf("diff of %s: %w", name, err)
		}
	}
	if options.write {
		return true, writeFile(name, formatted)
	}
	return true, nil
}

// diffLines splits a text into lines with their ends.
func diffLines(text string) []string {
	lines := strings.SplitAfter(text, "\n")
	last := len(lines) - 1
	if lines[last] == "" {
		return lines[:last]
	}
	lines[last] += "\n\\ No newline at end of file\n"
	return lines
}

// writeFile replaces the text of a file, which keeps its mode.
func writeFile(name, text string) error {
	if name == stdin {
		return errors.New("the standard input cannot be written to: name a file, or leave -w out")
	}
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	return os.WriteFile(name, []byte(text), info.Mode().Perm())
}

// problem is one line of `slipway jenkinsfile check`.
type problem struct {
	File string `json:"file"`
	// Line and Column count from 1; both are 0 for a problem of the whole file.
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
}

func newCheckCommand() *cobra.Command {
	var output string
	var builtIn bool
	command := &cobra.Command{
		Use:   "check [FILE|-]...",
		Short: "Print what is wrong with Jenkinsfiles, with line and column",
		RunE: func(command *cobra.Command, args []string) error {
			if output != "text" && output != "json" {
				return &cli.UsageError{Command: command.CommandPath(), Err: fmt.Errorf("output %q: must be text or json", output)}
			}
			problems := []problem{}
			for _, name := range inputs(args) {
				text, err := readInput(command, name)
				if err != nil {
					return err
				}
				problems = append(problems, problemsOf(name, string(text), builtIn)...)
			}
			if err := printProblems(command.OutOrStdout(), problems, output); err != nil {
				return err
			}
			if len(problems) > 0 {
				return fmt.Errorf("problems: %d", len(problems))
			}
			return nil
		},
	}
	command.Flags().StringVarP(&output, "output", "o", "text", "text (file:line:column: message) or json")
	command.Flags().BoolVar(&builtIn, "minijenkins", false, "name what minijenkins does not support as well; labels and libraries are not looked up")
	return command
}

// problemsOf is what Jenkins finds wrong with a Jenkinsfile; if builtIn is set and that is nothing, what minijenkins
// refuses.
func problemsOf(name, source string, builtIn bool) []problem {
	pipeline, err := jenkinsfile.Load(source)
	if err == nil && builtIn {
		err = engine.Check(pipeline, nil)
	}
	var list *jenkinsfile.ErrorList
	var refused *engine.CheckError
	var out []problem
	switch {
	case err == nil:
	case errors.As(err, &list):
		for _, e := range list.Errors {
			out = append(out, problem{name, e.Line, e.Column, e.Message})
		}
	case errors.As(err, &refused):
		for _, e := range refused.Problems {
			out = append(out, problem{name, e.Line, e.Column, e.Message})
		}
	default:
		out = append(out, problem{File: name, Message: err.Error()})
	}
	return out
}

func printProblems(out io.Writer, problems []problem, output string) error {
	if output == "json" {
		e := json.NewEncoder(out)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		return e.Encode(problems)
	}
	for _, p := range problems {
		place := p.File
		if p.Line > 0 {
			place = fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
		}
		if _, err := fmt.Fprintf(out, "%s: %s\n", place, p.Message); err != nil {
			return err
		}
	}
	return nil
}

func newToJSONCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "to-json [FILE|-]",
		Short: "Print a Declarative Pipeline as the JSON of Jenkins' pipeline editors",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			text, err := readInput(command, inputs(args)[0])
			if err != nil {
				return err
			}
			doc, err := jenkinsfile.ToJSON(string(text))
			if err != nil {
				return err
			}
			var pretty bytes.Buffer
			if err := json.Indent(&pretty, doc, "", "  "); err != nil {
				return err
			}
			_, err = fmt.Fprintln(command.OutOrStdout(), pretty.String())
			return err
		},
	}
}

func newFromJSONCommand() *cobra.Command {
	var onto string
	command := &cobra.Command{
		Use:   "from-json [FILE|-]",
		Short: "Print the Jenkinsfile of a JSON document",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			doc, err := readInput(command, inputs(args)[0])
			if err != nil {
				return err
			}
			var source string
			if onto == "" {
				source, err = jenkinsfile.FromJSON(doc)
				source += "\n"
			} else {
				var stored []byte
				if stored, err = readInput(command, onto); err != nil {
					return err
				}
				source, err = jenkinsfile.MergeJSON(string(stored), doc)
			}
			if err != nil {
				return err
			}
			_, err = io.WriteString(command.OutOrStdout(), source)
			return err
		},
	}
	command.Flags().StringVar(&onto, "onto", "", "Jenkinsfile that the document is an edit of: what did not change keeps its text and comments")
	return command
}
