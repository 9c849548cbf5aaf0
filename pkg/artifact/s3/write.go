package s3

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"net/http"
	"time"

	"github.com/minio/minio-go/v7"

	"salescast/pkg/artifact"
)

// The headers of checksums, and the metadata by which a write knows its own object again.
const (
	headerCRC       = "X-Amz-Checksum-Crc32c"
	headerAlgorithm = "X-Amz-Checksum-Algorithm"
	headerType      = "X-Amz-Checksum-Type"
	fullObject      = "FULL_OBJECT"
	metaWrite       = "Salescast-Write"
)

// Put writes the object.
func (s *Store) Put(ctx context.Context, name string, r io.Reader) (artifact.Info, error) {
	i, err := s.write(ctx, name, r, func(*minio.PutObjectOptions) {})
	if err != nil {
		return i, s.fail("write", name, err)
	}
	return i, nil
}

// Create writes the object where there is none.
func (s *Store) Create(ctx context.Context, name string, r io.Reader) (artifact.Info, error) {
	i, err := s.write(ctx, name, r, func(o *minio.PutObjectOptions) { o.SetMatchETagExcept("*") })
	if errors.Is(err, errPrecondition) {
		err = fs.ErrExist
	}
	if err != nil {
		return i, s.fail("create", name, err)
	}
	return i, nil
}

// Replace writes the object over the one with that ETag.
func (s *Store) Replace(ctx context.Context, name, etag string, r io.Reader) (artifact.Info, error) {
	i, err := s.write(ctx, name, r, func(o *minio.PutObjectOptions) { o.SetMatchETag(etag) })
	if errors.Is(err, errPrecondition) || errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errSource) {
		// A missing object has no ETag to match; a missing bucket says so in its text.
		err = fmt.Errorf("%w: %w", artifact.ErrChanged, err)
	}
	if err != nil {
		return i, s.fail("replace", name, err)
	}
	return i, nil
}

// errSource marks an error of the reader we were given.
var errSource = errors.New("read the source")

// upload is one write on its way.
type upload struct {
	s         *Store
	name, id  string
	condition func(*minio.PutObjectOptions)

	uploadID string
	parts    []minio.CompletePart
	size     int64
	sum      uint32
}

func (s *Store) write(ctx context.Context, name string, r io.Reader, condition func(*minio.PutObjectOptions)) (artifact.Info, error) {
	if err := s.check(ctx, name); err != nil {
		return artifact.Info{}, err
	}
	u := &upload{s: s, name: name, id: rand.Text(), condition: condition}
	i, err := u.run(ctx, r)
	if err != nil && u.uploadID != "" {
		u.abort(ctx)
	}
	return i, err
}

func (u *upload) run(ctx context.Context, r io.Reader) (artifact.Info, error) {
	var buf []byte
	for {
		part, last, err := fill(ctx, r, buf, u.s.partSize)
		if err != nil {
			return artifact.Info{}, err
		}
		buf = part[:0]
		u.size += int64(len(part))
		u.sum = crc32.Update(u.sum, castagnoli, part)
		if last && u.uploadID == "" {
			return u.single(ctx, part)
		}
		if len(part) > 0 {
			if err := u.part(ctx, part); err != nil {
				return artifact.Info{}, err
			}
		}
		if last {
			return u.complete(ctx)
		}
	}
}

// firstRead is the memory with which a write begins; only what is larger takes a whole part.
const firstRead = 256 << 10

// fill reads up to size bytes into buf and says whether the source has ended.
func fill(ctx context.Context, r io.Reader, buf []byte, size int) (part []byte, last bool, err error) {
	if cap(buf) == 0 {
		buf = make([]byte, 0, min(firstRead, size))
	}
	for len(buf) < size {
		if err := ctx.Err(); err != nil {
			return nil, false, err
		}
		if len(buf) == cap(buf) {
			grown := make([]byte, len(buf), size)
			copy(grown, buf)
			buf = grown
		}
		n, err := r.Read(buf[len(buf):min(cap(buf), size)])
		buf = buf[:len(buf)+n]
		if errors.Is(err, io.EOF) {
			return buf, true, nil
		}
		if err != nil {
			return nil, false, fmt.Errorf("%w: %w", errSource, err)
		}
	}
	return buf, false, nil
}

func encodeSum(sum uint32) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, sum))
}

func hexSHA256(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// single sends the object in one request.
func (u *upload) single(ctx context.Context, b []byte) (artifact.Info, error) {
	opts := minio.PutObjectOptions{
		UserMetadata:         map[string]string{headerCRC: encodeSum(u.sum), metaWrite: u.id},
		DisableContentSha256: true, // we sign the digest below instead of every chunk
	}
	u.condition(&opts)
	var done minio.UploadInfo
	again, err := u.s.try(ctx, longCall, func(ctx context.Context) (err error) {
		done, err = u.s.client.PutObject(ctx, u.s.at.Bucket, u.s.key(u.name), bytes.NewReader(b), int64(len(b)), "", hexSHA256(b), opts)
		return err
	})
	return u.result(ctx, done, again, err)
}

func (u *upload) part(ctx context.Context, b []byte) error {
	if u.uploadID == "" {
		opts := minio.PutObjectOptions{UserMetadata: map[string]string{headerAlgorithm: "CRC32C", headerType: fullObject, metaWrite: u.id}}
		_, err := u.s.try(ctx, shortCall, func(ctx context.Context) (err error) {
			u.uploadID, err = u.s.client.NewMultipartUpload(ctx, u.s.at.Bucket, u.s.key(u.name), opts)
			return err
		})
		if err != nil {
			return err
		}
	}
	number := len(u.parts) + 1
	if number > maxParts {
		return fmt.Errorf("it has more than %d parts of %d bytes: use larger parts", maxParts, u.s.partSize)
	}
	sum := encodeSum(crc32.Checksum(b, castagnoli))
	digest := hexSHA256(b)
	var done minio.ObjectPart
	_, err := u.s.try(ctx, longCall, func(ctx context.Context) (err error) {
		done, err = u.s.client.PutObjectPart(ctx, u.s.at.Bucket, u.s.key(u.name), u.uploadID, number, bytes.NewReader(b), int64(len(b)),
			minio.PutObjectPartOptions{Sha256Hex: digest, DisableContentSha256: true, CustomHeader: http.Header{headerCRC: {sum}}})
		return err
	})
	u.parts = append(u.parts, minio.CompletePart{PartNumber: number, ETag: done.ETag, ChecksumCRC32C: sum})
	return err
}

func (u *upload) complete(ctx context.Context) (artifact.Info, error) {
	opts := minio.PutObjectOptions{UserMetadata: map[string]string{headerCRC: encodeSum(u.sum), headerType: fullObject}}
	u.condition(&opts)
	var done minio.UploadInfo
	again, err := u.s.try(ctx, longCall, func(ctx context.Context) (err error) {
		done, err = u.s.client.CompleteMultipartUpload(ctx, u.s.at.Bucket, u.s.key(u.name), u.uploadID, u.parts, opts)
		return err
	})
	return u.result(ctx, done, again, err)
}

// result is what the server says now. Where the call was repeated, a refusal may mean that an earlier one had succeeded: the
// object then carries our mark.
func (u *upload) result(ctx context.Context, done minio.UploadInfo, again bool, err error) (artifact.Info, error) {
	if again && (errors.Is(err, errPrecondition) || errors.Is(err, fs.ErrNotExist)) {
		if o, serr := u.s.head(ctx, u.name); serr == nil && o.UserMetadata[metaWrite] == u.id {
			return info(u.name, o), nil
		}
	}
	if err != nil {
		return artifact.Info{}, err
	}
	// The answer to an upload has no time of its own in some implementations; nobody reads it before a Stat.
	return artifact.Info{Name: u.name, Size: u.size, Modified: done.LastModified, ETag: done.ETag}, nil
}

// abort takes the parts away, also when the work was cancelled; what stays is for the bucket's lifecycle rule.
func (u *upload) abort(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	_ = u.s.client.AbortMultipartUpload(ctx, u.s.at.Bucket, u.s.key(u.name), u.uploadID)
}
