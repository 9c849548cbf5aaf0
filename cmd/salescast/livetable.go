package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// liveTable is text on a terminal that is drawn over itself. It never wraps and never scrolls, or it could not find back to its first line.
type liveTable struct {
	w io.Writer
	// size asks for the terminal's columns and rows, which may change; nil or zeros are a terminal without bounds.
	size  func() (columns, rows int)
	lines int
}

func (t *liveTable) draw(text string) {
	t.clear()
	columns, rows := 0, 0
	if t.size != nil {
		columns, rows = t.size()
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if rows > 2 && len(lines) > rows-1 { // the cursor takes the last row
		left := len(lines) - (rows - 2)
		lines = append(lines[:rows-2:rows-2], fmt.Sprintf("  and %d more", left))
	}
	var b strings.Builder
	for _, line := range lines {
		b.WriteString(cut(line, columns))
		b.WriteByte('\n')
	}
	t.lines = len(lines)
	fmt.Fprint(t.w, b.String())
}

// cut leaves the last column free: some terminals go to the next line when it is written.
func cut(line string, columns int) string {
	if columns < 2 || utf8.RuneCountInString(line) < columns {
		return line
	}
	return string([]rune(line)[:columns-2]) + "…"
}

// clear takes away what was drawn.
func (t *liveTable) clear() {
	if t.lines > 0 {
		fmt.Fprintf(t.w, "\x1b[%dA\x1b[J", t.lines)
		t.lines = 0
	}
}
