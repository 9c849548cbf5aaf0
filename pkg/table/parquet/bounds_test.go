package parquet_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	pq "github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"

	"salescast/pkg/panel"
	"salescast/pkg/table"
	"salescast/pkg/table/tabletest"
)

// boundRow has the encodings that can claim more values than they have bytes.
type boundRow struct {
	Store string   `parquet:"store,dict"`
	Date  int32    `parquet:"date,date,delta"`
	Sales *float64 `parquet:"sales,optional"`
	Promo bool     `parquet:"promo"`
	Note  string   `parquet:"note,optional,delta"`
}

func boundFile(t testing.TB, version int, codec compress.Codec) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := pq.NewGenericWriter[boundRow](&buf, pq.DataPageVersion(version), pq.Compression(codec), pq.PageBufferSize(512))
	rows := make([]boundRow, 400)
	for i := range rows {
		v := float64(i % 7)
		rows[i] = boundRow{Store: fmt.Sprint("store ", i/100), Date: int32(20000 + i%100), Promo: i%9 == 0, Note: strings.Repeat("x", i%5)}
		if i%11 != 0 {
			rows[i].Sales = &v
		}
	}
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

var boundCodecs = map[string]compress.Codec{
	"uncompressed": &pq.Uncompressed, "snappy": &pq.Snappy, "gzip": &pq.Gzip, "zstd": &pq.Zstd, "brotli": &pq.Brotli,
}

// allocated is how many bytes fn asked for.
func allocated(fn func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// Whatever happens to the bytes of a Parquet file, reading it ends soon, with its rows or with an error that names the file, and
// within a bound of memory. It measures the process's memory, so it does not run beside other tests.
func TestDamagedParquet(t *testing.T) { //nolint:paralleltest // it measures memory
	const most, longest = 600 << 20, 20 * time.Second
	want := boundColumns()
	for name, codec := range boundCodecs {
		for _, version := range []int{1, 2} {
			whole := boundFile(t, version, codec)
			text, err := readAll(t.Context(), tabletest.File("f.parquet", whole), want)
			if err != nil || strings.Count(text, "\n") != 400 {
				t.Fatalf("%s, pages of version %d: %d rows, %v", name, version, strings.Count(text, "\n"), err)
			}
			rng := rand.New(rand.NewPCG(1, uint64(version)))
			for range 250 {
				b := bytes.Clone(whole)
				where := rng.IntN(len(b))
				b[where] ^= byte(1 + rng.IntN(255))
				if rng.IntN(4) == 0 {
					copy(b[rng.IntN(len(b)-8):], []byte{0xff, 0xff, 0xff, 0xff, 0x07}) // the largest length that fits
				}
				began := time.Now()
				n := allocated(func() { _, err = readAll(t.Context(), tabletest.File("f.parquet", b), want) })
				if took := time.Since(began); n > most || took > longest {
					t.Errorf("%s, pages of version %d, byte %d: %d MiB in %v, %v", name, version, where, n>>20, took, err)
				}
				if bad, ok := errors.AsType[*table.SyntaxError](err); err != nil && (!ok || bad.File != "f.parquet" || bad.Hint == "") {
					t.Errorf("%s, pages of version %d, byte %d: the error names no file or no cure: %#v", name, version, where, err)
				}
			}
			for cut := 0; cut < len(whole); cut += 1 + len(whole)/40 {
				if _, err := readAll(t.Context(), tabletest.File("f.parquet", whole[:cut]), want); err == nil {
					t.Errorf("%s, pages of version %d: cut off at %d of %d, it was read", name, version, cut, len(whole))
				}
			}
		}
	}
}

func boundColumns() []table.Column {
	want := columns()
	for _, n := range []string{"promo", "note"} {
		c := want[0]
		c.Name, c.Dictionary = n, &panel.Dictionary{}
		want = append(want, c)
	}
	return want
}

// A small file that claims to be large is refused before anything of that size is made.
func TestParquetClaims(t *testing.T) { //nolint:paralleltest // it measures memory
	footer := func(thrift []byte, length uint32) []byte {
		b := append([]byte("PAR1"), thrift...)
		return append(binary.LittleEndian.AppendUint32(b, length), "PAR1"...)
	}
	huge := []byte{0xff, 0xff, 0xff, 0xff, 0x07}
	for _, c := range []struct {
		name string
		file []byte
		want string
	}{
		{"a footer longer than the file", footer([]byte{0}, 1<<32-1), "its footer claims 4294967295 bytes; the file has 13"},
		{"a list of two thousand million row groups", footer(append([]byte{0x49, 0xfc}, huge...), 7), "it ends too early"},
		{"a name of two thousand million bytes", footer(append([]byte{0x68}, huge...), 6), "it ends too early"},
		{"structures without end", footer(bytes.Repeat([]byte{0x1c}, 1000), 1000), "it is malformed"},
		{"nothing", nil, ""},
	} {
		var err error
		n := allocated(func() { _, err = readAll(t.Context(), tabletest.File("f.parquet", c.file), columns()) })
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if n > 8<<20 {
			t.Errorf("%s: %d MiB were asked for", c.name, n>>20)
		}
	}
}

// Of pages that LZ4 packed, the library answers values that were never written, so they are refused.
func TestParquetCompression(t *testing.T) {
	t.Parallel()
	_, err := readAll(t.Context(), tabletest.File("f.parquet", boundFile(t, 1, &pq.Lz4Raw)), columns())
	bad, ok := errors.AsType[*table.SyntaxError](err)
	if !ok || !strings.Contains(err.Error(), "not compressed by zstd") || !strings.Contains(bad.Hint, "write the file with one of these") {
		t.Errorf("LZ4: %v", err)
	}
}
