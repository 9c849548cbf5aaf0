// Package parquettest changes the bytes of Parquet files for tests.
package parquettest

import (
	"bytes"
	"encoding/binary"
	"testing"

	pq "github.com/parquet-go/parquet-go"
)

// WithoutChecksums returns a Parquet file whose pages have the checksum 0, which readers take for none: a mutation of it reaches what
// decodes pages, and does not end at the checksum.
func WithoutChecksums(tb testing.TB, file []byte) []byte {
	tb.Helper()
	f, err := pq.OpenFile(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		tb.Fatal(err)
	}
	out := bytes.Clone(file)
	for _, group := range f.Metadata().RowGroups {
		for _, c := range group.Columns {
			m := c.MetaData
			at := m.DataPageOffset
			if d := m.DictionaryPageOffset; d > 0 {
				at = min(at, d)
			}
			for end := at + m.TotalCompressedSize; at < end; {
				at += clearChecksum(tb, out[at:end])
			}
		}
	}
	return out
}

// clearChecksum clears that of the page that begins here, and returns the size of the page. A page header is Thrift's compact protocol; its
// first fields are the type, the sizes and the checksum, each a 32-bit integer in zigzag.
func clearChecksum(tb testing.TB, page []byte) int64 {
	tb.Helper()
	at, compressed := 0, int64(0)
	for field := range 4 {
		if page[at] != 0x15 { // the next field, an integer
			tb.Fatalf("field %d of a page header is %#x", field+1, page[at])
		}
		at++
		v, n := binary.Uvarint(page[at:])
		if field == 2 {
			compressed = int64(v >> 1)
		}
		if field == 3 {
			for i := range n - 1 {
				page[at+i] = 0x80
			}
			page[at+n-1] = 0
		}
		at += n
	}
	// The header goes on; its end is found by reading it.
	rest := page[at:]
	return int64(at+headerRest(tb, rest)) + compressed
}

// headerRest is the length of what follows the checksum: structures of integers and flags, the last of which ends with the header's own end.
func headerRest(tb testing.TB, b []byte) int {
	tb.Helper()
	at := 0
	var structure func()
	structure = func() {
		for {
			kind := b[at] & 0x0f
			long := b[at]>>4 == 0
			at++
			if kind == 0 {
				return
			}
			if long {
				_, n := binary.Uvarint(b[at:])
				at += n
			}
			switch kind {
			case 1, 2: // a flag is its own type
			case 4, 5, 6:
				_, n := binary.Uvarint(b[at:])
				at += n
			case 8:
				v, n := binary.Uvarint(b[at:])
				at += n + int(v)
			case 12:
				structure()
			default:
				tb.Fatalf("a page header has a field of type %d", kind)
			}
		}
	}
	structure()
	return at
}
