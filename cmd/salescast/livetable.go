package main

import (
	"fmt"
	"io"
	"strings"
)

// liveTable is text on a terminal that is drawn over itself.
type liveTable struct {
	w     io.Writer
	lines int
}

func (t *liveTable) draw(text string) {
	t.clear()
	t.lines = strings.Count(text, "\n")
	fmt.Fprint(t.w, text)
}

// clear takes away what was drawn.
func (t *liveTable) clear() {
	if t.lines > 0 {
		fmt.Fprintf(t.w, "\x1b[%dA\x1b[J", t.lines)
		t.lines = 0
	}
}
