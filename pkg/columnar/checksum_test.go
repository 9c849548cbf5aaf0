package columnar_test

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"salescast/pkg/columnar"
	"salescast/pkg/table/parquet/parquettest"
)

// Without checksums a file reads as before, and flipped bytes reach the decoders.
func TestMutationsReachPages(t *testing.T) {
	t.Parallel()
	var buf bytes.Buffer
	if err := columnar.WritePredictions(&buf, randomPredictions(rand.New(rand.NewPCG(1, 1)), []float64{0.1, 0.9})); err != nil {
		t.Fatal(err)
	}
	bare := parquettest.WithoutChecksums(t, buf.Bytes())
	if _, err := columnar.ReadPredictions(t.Context(), bytes.NewReader(bare)); err != nil {
		t.Fatal(err)
	}
	stopped := func(file []byte) (n int) {
		for i := range file {
			c := bytes.Clone(file)
			c[i] ^= 0x15
			if _, err := columnar.ReadPredictions(t.Context(), bytes.NewReader(c)); err != nil && strings.Contains(err.Error(), "checksum") {
				n++
			}
		}
		return n
	}
	if with, without := stopped(buf.Bytes()), stopped(bare); with < 1000 || without > with/20 {
		t.Errorf("of %d flipped bytes the checksum stops %d, and %d where it is cleared", len(bare), with, without)
	}
}
