package parquet

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// The Parquet library makes room for whatever a file claims: lists of the footer, pages, runs of equal values. So what a file claims is
// compared here with the bytes that it has, before the library sees it.
const (
	maxFooter = 64 << 20
	// maxPageHeader holds the longest statistics that writers put there.
	maxPageHeader = 1 << 20
	// maxPage bounds one page, packed or not; writers aim at 1 MiB.
	maxPage = 128 << 20
	// maxPageValues bounds the values of a page, which may all be equal and so take no room.
	maxPageValues = 1 << 25
	// parquetTail is the length of the footer and the magic word, after the footer.
	parquetTail = 8
)

// checkFooter answers where the footer begins.
func checkFooter(r io.ReaderAt, size int64) (int64, error) {
	if size < parquetTail+4 {
		return 0, fmt.Errorf("it has %d bytes", size)
	}
	var tail [parquetTail]byte
	if _, err := r.ReadAt(tail[:], size-parquetTail); err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	if string(tail[4:]) != "PAR1" {
		return 0, errors.New("its last bytes are not those of Parquet")
	}
	n := int64(binary.LittleEndian.Uint32(tail[:]))
	if n > size-parquetTail-4 || n > maxFooter {
		return 0, fmt.Errorf("its footer claims %d bytes; the file has %d, and %d are read at most", n, size, maxFooter)
	}
	b := make([]byte, n)
	if _, err := r.ReadAt(b, size-parquetTail-n); err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	w := thriftWalk{b: b}
	if err := w.structure(0); err != nil {
		return 0, fmt.Errorf("its footer: %w", err)
	}
	return size - parquetTail - n, nil
}

var (
	errThriftShort = errors.New("it ends too early")
	errThrift      = errors.New("it is malformed")
)

// thriftWalk skips over values of Thrift's compact protocol, and refuses those that claim more elements than there are bytes.
type thriftWalk struct {
	b  []byte
	at int
}

func (w *thriftWalk) skip(n uint64) error {
	if n > uint64(len(w.b)-w.at) {
		return errThriftShort
	}
	w.at += int(n)
	return nil
}

func (w *thriftWalk) byte() (byte, error) {
	if w.at >= len(w.b) {
		return 0, errThriftShort
	}
	w.at++
	return w.b[w.at-1], nil
}

func (w *thriftWalk) uvarint() (uint64, error) {
	v, n := binary.Uvarint(w.b[w.at:])
	switch {
	case n == 0:
		return 0, errThriftShort
	case n < 0:
		return 0, errThrift
	}
	w.at += n
	return v, nil
}

func (w *thriftWalk) structure(depth int) error {
	if depth > 32 {
		return errThrift
	}
	for {
		h, err := w.byte()
		if err != nil || h == 0 {
			return err
		}
		if h>>4 == 0 { // the field's number follows
			if _, err := w.uvarint(); err != nil {
				return err
			}
		}
		if t := h & 15; t == 1 || t == 2 { // a bool, in its type
			continue
		}
		if err := w.value(h&15, depth); err != nil {
			return err
		}
	}
}

func (w *thriftWalk) value(t byte, depth int) error {
	switch t {
	case 1, 2, 3: // bool in a list, byte
		return w.skip(1)
	case 4, 5, 6: // integers
		_, err := w.uvarint()
		return err
	case 7: // double
		return w.skip(8)
	case 8: // bytes
		n, err := w.uvarint()
		if err != nil {
			return err
		}
		return w.skip(n)
	case 9, 10: // list, set
		h, err := w.byte()
		if err != nil {
			return err
		}
		n := uint64(h >> 4)
		if n == 15 {
			if n, err = w.uvarint(); err != nil {
				return err
			}
		}
		return w.elements(n, depth, h&15)
	case 11: // map
		n, err := w.uvarint()
		if err != nil || n == 0 {
			return err
		}
		h, err := w.byte()
		if err != nil {
			return err
		}
		return w.elements(n, depth, h>>4, h&15)
	case 12:
		return w.structure(depth + 1)
	}
	return errThrift
}

// elements skips n tuples of types; each value has at least one byte.
func (w *thriftWalk) elements(n uint64, depth int, types ...byte) error {
	if n > uint64(len(w.b)-w.at) {
		return errThriftShort
	}
	if depth > 32 {
		return errThrift
	}
	for range n {
		for _, t := range types {
			if err := w.value(t, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// pageCheck reads the pages of column chunks before the library does.
type pageCheck struct {
	r io.ReaderAt
	// end is where the pages end and the footer begins.
	end    int64
	packed []byte
	plain  []byte
	zstd   *zstd.Decoder
}

func (k *pageCheck) close() {
	if k.zstd != nil {
		k.zstd.Close()
	}
}

// chunk checks a column chunk of a flat column.
func (k *pageCheck) chunk(ctx context.Context, m *format.ColumnMetaData, rows int64, optional bool) error {
	at := m.DataPageOffset
	if m.DictionaryPageOffset != 0 {
		at = m.DictionaryPageOffset
	}
	if n := m.TotalCompressedSize; at < 4 || n < 0 || at > k.end-n {
		return fmt.Errorf("its pages are said to be %d bytes at %d, the file has them up to %d", n, at, k.end)
	}
	for end := at + m.TotalCompressedSize; at < end; {
		if err := ctx.Err(); err != nil {
			return err
		}
		h, n, err := k.header(at, end)
		if err != nil {
			return fmt.Errorf("the page header at %d: %w", at, err)
		}
		size := int64(h.CompressedPageSize)
		if size < 0 || size > end-at-n || size > maxPage || h.UncompressedPageSize < 0 || h.UncompressedPageSize > maxPage {
			return fmt.Errorf("the page at %d claims %d bytes, %d when unpacked; %d are left, and %d are read at most", at, size, h.UncompressedPageSize, end-at-n, maxPage)
		}
		k.packed = room(k.packed, int(size))
		if _, err := k.r.ReadAt(k.packed, at+n); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		values, err := k.page(h, m.Codec, min(rows, maxPageValues), optional)
		if err != nil {
			return fmt.Errorf("the page at %d: %w", at, err)
		}
		rows -= values
		at += n + size
	}
	return nil
}

// header reads a page header and its length.
func (k *pageCheck) header(at, end int64) (*format.PageHeader, int64, error) {
	for window := int64(4 << 10); ; window *= 4 {
		window = min(window, end-at, maxPageHeader)
		k.packed = room(k.packed, int(window))
		if _, err := k.r.ReadAt(k.packed, at); err != nil && !errors.Is(err, io.EOF) {
			return nil, 0, err
		}
		w := thriftWalk{b: k.packed}
		err := w.structure(0)
		if errors.Is(err, errThriftShort) && window < min(end-at, maxPageHeader) {
			continue
		}
		if err != nil {
			return nil, 0, err
		}
		h := new(format.PageHeader)
		if err := thrift.Unmarshal(new(thrift.CompactProtocol), k.packed[:w.at], h); err != nil {
			return nil, 0, err
		}
		return h, int64(w.at), nil
	}
}

func room(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n)
	}
	return b[:n]
}

// page checks the page whose packed bytes have been read, and answers how many values it has; there must be at most limit.
func (k *pageCheck) page(h *format.PageHeader, codec format.CompressionCodec, limit int64, optional bool) (int64, error) {
	b := k.packed
	switch h.Type { //nolint:exhaustive // the library says that it does not know other pages
	case format.DictionaryPage:
		b, err := k.unpack(codec, b, int(h.UncompressedPageSize))
		if n := h.DictionaryPageHeader.V.NumValues; err == nil && (n < 0 || int(n) > len(b)) {
			err = fmt.Errorf("it claims %d values in %d bytes", n, len(b))
		}
		return 0, err
	case format.DataPage:
		n := int64(h.DataPageHeader.V.NumValues)
		if n < 0 || n > limit {
			return 0, fmt.Errorf("it claims %d values where at most %d are left", n, limit)
		}
		b, err := k.unpack(codec, b, int(h.UncompressedPageSize))
		if err != nil {
			return 0, err
		}
		if optional {
			levels, rest, err := prefixed(b)
			if err != nil {
				return 0, err
			}
			if h.DataPageHeader.V.DefinitionLevelEncoding == format.RLE {
				if err := checkRuns(levels, 1, n); err != nil {
					return 0, err
				}
			}
			b = rest
		}
		return n, checkValues(h.DataPageHeader.V.Encoding, b, n)
	case format.DataPageV2:
		v := &h.DataPageHeaderV2.V
		n, before, levels := int64(v.NumValues), int64(v.RepetitionLevelsByteLength), int64(v.DefinitionLevelsByteLength)
		if n < 0 || n > limit || v.NumNulls < 0 || int64(v.NumNulls) > n {
			return 0, fmt.Errorf("it claims %d values and %d nulls where at most %d are left", n, v.NumNulls, limit)
		}
		if before < 0 || levels < 0 || before+levels > int64(len(b)) {
			return 0, errPageShort
		}
		if optional {
			if err := checkRuns(b[before:before+levels], 1, n); err != nil {
				return 0, err
			}
		}
		b = b[before+levels:]
		if !v.IsCompressed.Valid || v.IsCompressed.V {
			var err error
			if b, err = k.unpack(codec, b, max(int(h.UncompressedPageSize)-int(before+levels), 0)); err != nil {
				return 0, err
			}
		}
		return n, checkValues(v.Encoding, b, n)
	}
	return 0, nil
}

var (
	errPageShort = errors.New("it ends too early")
	errCodec     = errors.New("it is not compressed by zstd, Snappy, gzip or Brotli")
)

// unpack answers the plain bytes, which must be as many as the header says.
func (k *pageCheck) unpack(codec format.CompressionCodec, b []byte, size int) (_ []byte, err error) {
	if len(b) == 0 && size == 0 { // a page of nulls
		return nil, nil
	}
	switch codec {
	case format.Uncompressed:
		return b, nil
	case format.Zstd:
		if k.zstd == nil {
			if k.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxPage)); err != nil {
				return nil, err
			}
		}
		k.plain, err = k.zstd.DecodeAll(b, room(k.plain, size)[:0])
	case format.Gzip:
		var z *gzip.Reader
		if z, err = gzip.NewReader(bytes.NewReader(b)); err == nil {
			err = k.stream(z, size)
		}
	case format.Brotli:
		err = k.stream(brotli.NewReader(bytes.NewReader(b)), size)
	case format.Snappy:
		n := 0
		if n, err = snappy.DecodedLen(b); err == nil && n != size {
			return nil, fmt.Errorf("it unpacks to %d bytes, its header says %d", n, size)
		} else if err == nil {
			k.plain, err = snappy.Decode(room(k.plain, size), b)
		}
	default: // of LZ4 the library makes wrong values
		return nil, errCodec
	}
	if err == nil && len(k.plain) != size {
		err = fmt.Errorf("it unpacks to %d bytes or more, its header says %d", len(k.plain), size)
	}
	return k.plain, err
}

// stream reads at most one byte more than size.
func (k *pageCheck) stream(r io.Reader, size int) error {
	out := bytes.NewBuffer(room(k.plain, size)[:0])
	_, err := io.Copy(out, io.LimitReader(r, int64(size)+1))
	k.plain = out.Bytes()
	return err
}

// prefixed cuts off bytes that their length precedes.
func prefixed(b []byte) (part, rest []byte, err error) {
	if len(b) < 4 {
		return nil, nil, errPageShort
	}
	n := binary.LittleEndian.Uint32(b)
	if uint64(n) > uint64(len(b)-4) {
		return nil, nil, errPageShort
	}
	return b[4 : 4+n], b[4+n:], nil
}

// checkValues checks the encodings that can make more of their bytes than there are.
func checkValues(e format.Encoding, b []byte, n int64) (err error) {
	switch e { //nolint:exhaustive // the others have bytes for every value
	case format.PlainDictionary, format.RLEDictionary: //nolint:staticcheck // older writers have the first
		if len(b) == 0 {
			return nil
		}
		return checkRuns(b[1:], int(b[0]), n)
	case format.RLE:
		if b, _, err = prefixed(b); err != nil {
			return err
		}
		return checkRuns(b, 1, n)
	case format.DeltaBinaryPacked, format.DeltaLengthByteArray:
		_, err = checkDelta(b, n)
	case format.DeltaByteArray:
		if b, err = checkDelta(b, n); err == nil {
			_, err = checkDelta(b, n)
		}
	}
	return err
}

// checkRuns wants at most n values in runs of the hybrid of run lengths and bit-packing; a run that is packed may fill its last byte.
func checkRuns(b []byte, width int, n int64) error {
	if width > 32 {
		return fmt.Errorf("its values have %d bits", width)
	}
	for len(b) > 0 {
		h, k := binary.Uvarint(b)
		if k <= 0 {
			return errPageShort
		}
		b = b[k:]
		count, bytes := h>>1, uint64(width+7)/8
		if h&1 != 0 {
			if count > uint64(len(b)) && width > 0 || count > maxPageValues {
				return errPageShort
			}
			count, bytes = 8*count, count*uint64(width)
		}
		if count > uint64(max(n, 0)+7) {
			return fmt.Errorf("it has a run of %d values where at most %d are left", count, max(n, 0))
		}
		if bytes > uint64(len(b)) {
			return errPageShort
		}
		b = b[bytes:]
		n -= int64(count)
	}
	return nil
}

// checkDelta wants at most n values that are packed as differences, and answers what follows them.
func checkDelta(b []byte, n int64) ([]byte, error) {
	var head [4]uint64 // values in a block, parts of a block, values, the first value
	for i := range head {
		v, k := binary.Uvarint(b)
		if k <= 0 {
			return nil, errPageShort
		}
		head[i], b = v, b[k:]
	}
	block, parts, left := head[0], head[1], head[2]
	if left > uint64(n) {
		return nil, fmt.Errorf("it claims %d values where at most %d are left", left, n)
	}
	if block == 0 || block > 1<<20 || parts == 0 || parts > block || block%parts != 0 {
		return nil, fmt.Errorf("it has blocks of %d values in %d parts", block, parts)
	}
	per := block / parts
	for left = max(left, 1) - 1; left > 0; {
		_, k := binary.Uvarint(b)
		if k <= 0 || uint64(len(b)-k) < parts {
			return nil, errPageShort
		}
		widths := b[k : k+int(parts)]
		b = b[k+int(parts):]
		for _, w := range widths {
			if left == 0 {
				break // parts that are not needed are not there
			}
			size := per * uint64(w) / 8
			if size > uint64(len(b)) {
				return nil, errPageShort
			}
			b = b[size:]
			left -= min(left, per)
		}
	}
	return b, nil
}
