package main

import (
	"bytes"
	"errors"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

const (
	// maxNesting is how deep a configuration may be nested; the deepest of ours has four levels.
	maxNesting = 32
	// maxLines and maxMarks bound its parts: the library makes a few hundred bytes of each.
	maxLines = 20_000
	maxMarks = 50_000
)

var errNested = errors.New("it is nested too deep, or has too many parts, for a configuration")

// parseYAML parses what a configuration can be. The library takes memory that grows with the square of the depth, so brackets and the dashes
// of a line are counted before it sees the text; inside of quotes they count as well, which no sensible value will feel.
func parseYAML(b []byte) (*ast.File, error) {
	if err := checkNesting(b); err != nil {
		return nil, err
	}
	return parser.ParseBytes(b, 0)
}

func checkNesting(b []byte) error {
	depth, marks, lines := 0, 0, 0
	for line := range bytes.Lines(b) {
		lines++
		if leading(line) > maxNesting {
			return errNested
		}
		for _, c := range line {
			switch c {
			case '[', '{':
				depth++
				marks++
			case ']', '}':
				depth--
				marks++
			case ',', ':', '-', '?', '&', '*', '!', '"', '\'', '|', '>', '#':
				marks++
			}
			if depth > maxNesting || depth < -maxNesting {
				return errNested
			}
		}
	}
	if lines > maxLines || marks > maxMarks {
		return errNested
	}
	return nil
}

// leading counts the marks of nested lists and keys with which a line begins.
func leading(line []byte) int {
	n := 0
	for _, c := range line {
		switch c {
		case '-', '?', ':':
			n++
		case ' ', '\t':
		default:
			return n
		}
	}
	return n
}
