package panel

import (
	"slices"
	"strings"
)

// Dictionary gives every distinct text a code, in the order of first appearance. The zero value is empty and ready to use.
type Dictionary struct {
	values []string
	codes  map[string]int32
	last   int32
}

// Code returns the code of a text and adds it where it is new; text is copied when it is added.
func (d *Dictionary) Code(text []byte) int32 {
	if len(d.values) > 0 && d.values[d.last] == string(text) {
		return d.last
	}
	c, ok := d.codes[string(text)]
	if !ok {
		c = d.add(string(text))
	}
	d.last = c
	return c
}

// CodeString is Code for a string.
func (d *Dictionary) CodeString(text string) int32 {
	if len(d.values) > 0 && d.values[d.last] == text {
		return d.last
	}
	c, ok := d.codes[text]
	if !ok {
		c = d.add(strings.Clone(text))
	}
	d.last = c
	return c
}

func (d *Dictionary) add(text string) int32 {
	if d.codes == nil {
		d.codes = map[string]int32{}
	}
	c := int32(len(d.values))
	d.values = append(d.values, text)
	d.codes[text] = c
	return c
}

// Len returns the number of distinct texts.
func (d *Dictionary) Len() int { return len(d.values) }

// Value returns the text of a code.
func (d *Dictionary) Value(code int32) string { return d.values[code] }

// sorted returns the used texts in byte order and, for every code, its place among them (-1 for an unused one).
func (d *Dictionary) sorted(used []bool) (levels []string, place []int32) {
	order := make([]int32, 0, len(d.values))
	for c := range d.values {
		if used[c] {
			order = append(order, int32(c))
		}
	}
	slices.SortFunc(order, func(a, b int32) int { return strings.Compare(d.values[a], d.values[b]) })
	levels, place = make([]string, len(order)), make([]int32, len(d.values))
	for i := range place {
		place[i] = -1
	}
	for i, c := range order {
		levels[i], place[c] = d.values[c], int32(i)
	}
	return levels, place
}

// Values returns all texts by code; the slice must not be changed.
func (d *Dictionary) Values() []string { return d.values }
