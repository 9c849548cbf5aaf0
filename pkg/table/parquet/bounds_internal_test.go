package parquet

import (
	"encoding/binary"
	"strings"
	"testing"
)

// Runs and differences may have as many values as their page, padded to whole bytes, and no more.
func TestEncodedClaims(t *testing.T) {
	t.Parallel()
	run := func(count uint64, packed bool, rest ...byte) []byte {
		h := count << 1
		if packed {
			h |= 1
		}
		return append(binary.AppendUvarint(nil, h), rest...)
	}
	delta := func(values uint64, rest ...byte) []byte {
		b := binary.AppendUvarint(nil, 128)
		b = binary.AppendUvarint(b, 4)
		b = binary.AppendUvarint(b, values)
		return append(append(b, 0), rest...)
	}
	onlyRuns := func(b []byte) error { return checkRuns(b, 1, 10) }
	onlyDelta := func(b []byte) error { _, err := checkDelta(b, 10); return err }
	for _, c := range []struct {
		name  string
		check func([]byte) error
		b     []byte
		want  string
	}{
		{"a run", onlyRuns, run(10, false, 1), ""},
		{"two packed bytes, the second in part", onlyRuns, run(2, true, 255, 3), ""},
		{"a run of a thousand million", onlyRuns, run(1<<30, false, 1), "a run of 1073741824 values where at most 10"},
		{"a packed run of a thousand million", onlyRuns, run(1<<30, true, 1), errPageShort.Error()},
		{"runs that add up to too much", onlyRuns, append(run(9, false, 1), run(9, false, 1)...), "at most 1 are left"},
		{"a run without its value", onlyRuns, run(3, false), errPageShort.Error()},
		{"a length that does not end", onlyRuns, []byte{255, 255}, errPageShort.Error()},
		{"differences without bits", onlyDelta, delta(10, 0, 0, 0, 0, 0), ""},
		{"a thousand million differences", onlyDelta, delta(1 << 30), "it claims 1073741824 values"},
		{"differences that are not there", onlyDelta, delta(10, 0, 32, 0, 0, 0), errPageShort.Error()},
		{"no blocks", onlyDelta, []byte{0, 0, 1, 0}, "blocks of 0 values"},
	} {
		err := c.check(c.b)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}
