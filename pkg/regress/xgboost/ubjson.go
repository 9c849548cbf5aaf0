package xgboost

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"
)

// The bounds of a document: XGBoost nests its own ten deep.
const (
	maxDepth = 16
	maxText  = 1 << 16
	maxKeys  = 64
)

// value is a value of UBJSON, of those kinds that XGBoost writes: object, list, packed array of numbers, text or number.
type value struct {
	object map[string]*value
	list   []*value
	// raw are the bytes of a packed array whose elements have the type that packed says.
	packed byte
	raw    []byte
	text   *string
	number *float64
}

// document reads UBJSON, in the narrow form that XGBoost writes: keys and texts have lengths of eight bytes, arrays announce how many
// elements they have, no key stands twice.
type document struct {
	rest []byte
}

func parse(b []byte) (*value, error) {
	d := &document{rest: b}
	v, err := d.value(0)
	if err != nil {
		return nil, fmt.Errorf("byte %d: %w", len(b)-len(d.rest), err)
	}
	if len(d.rest) > 0 {
		return nil, fmt.Errorf("%d bytes follow the model", len(d.rest))
	}
	return v, nil
}

var errShort = errors.New("it ends early")

func (d *document) take(n int64) ([]byte, error) {
	if n < 0 || n > int64(len(d.rest)) {
		return nil, errShort
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b, nil
}

func (d *document) marker() (byte, error) {
	b, err := d.take(1)
	if err != nil {
		return 0, err
	}
	return b[0], nil
}

// expect takes the bytes, which must come next.
func (d *document) expect(want string) error {
	b, err := d.take(int64(len(want)))
	if err == nil && string(b) != want {
		err = fmt.Errorf("%q stands where %q should", b, want)
	}
	return err
}

// sizes are the bytes of the numbers.
var sizes = map[byte]int64{'i': 1, 'U': 1, 'I': 2, 'l': 4, 'L': 8, 'd': 4, 'D': 8}

func decode(kind byte, b []byte) float64 {
	switch kind {
	case 'i':
		return float64(int8(b[0]))
	case 'U':
		return float64(b[0])
	case 'I':
		return float64(int16(binary.BigEndian.Uint16(b)))
	case 'l':
		return float64(int32(binary.BigEndian.Uint32(b)))
	case 'L':
		return float64(int64(binary.BigEndian.Uint64(b)))
	case 'd':
		return float64(math.Float32frombits(binary.BigEndian.Uint32(b)))
	}
	return math.Float64frombits(binary.BigEndian.Uint64(b))
}

func (d *document) value(depth int) (*value, error) {
	kind, err := d.marker()
	if err != nil {
		return nil, err
	}
	switch {
	case depth > maxDepth:
		return nil, fmt.Errorf("it is nested more than %d deep", maxDepth)
	case kind == '{':
		return d.object(depth)
	case kind == '[':
		return d.array(depth)
	case kind == 'S':
		s, err := d.string()
		return &value{text: &s}, err
	}
	n, ok := sizes[kind]
	if !ok {
		return nil, fmt.Errorf("%q begins no value that XGBoost writes", kind)
	}
	b, err := d.take(n)
	if err != nil {
		return nil, err
	}
	number := decode(kind, b)
	return &value{number: &number}, nil
}

// length reads a length of eight bytes.
func (d *document) length() (int64, error) {
	if err := d.expect("L"); err != nil {
		return 0, err
	}
	b, err := d.take(sizes['L'])
	if err != nil {
		return 0, err
	}
	n := int64(binary.BigEndian.Uint64(b))
	if n < 0 || n > int64(len(d.rest)) { // an element is a byte or more
		return 0, errShort
	}
	return n, nil
}

func (d *document) string() (string, error) {
	n, err := d.length()
	if err != nil {
		return "", err
	}
	b, err := d.take(n)
	switch {
	case err != nil:
		return "", err
	case n > maxText || !utf8.Valid(b):
		return "", errors.New("a text is too long, or is not UTF-8")
	}
	if slices.Contains(b, 0) {
		return "", errors.New("a text holds a zero byte")
	}
	return string(b), nil
}

func (d *document) object(depth int) (*value, error) {
	v := &value{object: map[string]*value{}}
	for {
		if len(d.rest) > 0 && d.rest[0] == '}' {
			d.rest = d.rest[1:]
			return v, nil
		}
		key, err := d.string()
		if err != nil {
			return nil, err
		}
		if _, twice := v.object[key]; twice || len(v.object) == maxKeys {
			return nil, fmt.Errorf("the key %.40q stands twice, or there are more than %d", key, maxKeys)
		}
		if v.object[key], err = d.value(depth + 1); err != nil {
			return nil, err
		}
	}
}

func (d *document) array(depth int) (*value, error) {
	kind, err := d.marker()
	if err != nil {
		return nil, err
	}
	if kind == '$' {
		return d.packedArray()
	}
	if kind != '#' {
		return nil, errors.New("an array does not say how long it is")
	}
	n, err := d.length()
	if err != nil {
		return nil, err
	}
	v := &value{list: []*value{}}
	for range n {
		e, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		v.list = append(v.list, e)
	}
	return v, nil
}

func (d *document) packedArray() (*value, error) {
	kind, err := d.marker()
	if err != nil {
		return nil, err
	}
	size, ok := sizes[kind]
	if !ok {
		return nil, fmt.Errorf("there are no arrays of %q", kind)
	}
	if err := d.expect("#"); err != nil {
		return nil, err
	}
	n, err := d.length()
	if err != nil {
		return nil, err
	}
	raw, err := d.take(n * size)
	return &value{packed: kind, raw: raw}, err
}

// at is element i of a packed array.
func (v *value) at(i int) float64 {
	size := int(sizes[v.packed])
	return decode(v.packed, v.raw[i*size:])
}
