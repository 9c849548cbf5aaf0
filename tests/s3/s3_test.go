package s3test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"salescast/pkg/artifact"
	"salescast/pkg/artifact/artifacttest"
	"salescast/pkg/artifact/s3"
	"salescast/pkg/track"
	"salescast/pkg/track/spool"
	"salescast/pkg/track/tracktest"
	"salescast/tests/servers"
)

var counter atomic.Int64

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func config(s *servers.Server) s3.Config {
	return s3.Config{Endpoint: s.URL, AccessKey: servers.AccessKey, SecretKey: servers.SecretKey, PartSize: 5 << 20, Patience: 10 * time.Second}
}

// bucket makes a bucket with a name of its own.
func bucket(t *testing.T, s *servers.Server) artifact.Location {
	t.Helper()
	c, err := minio.New(strings.TrimPrefix(s.URL, "http://"), &minio.Options{Creds: credentials.NewStaticV4(servers.AccessKey, servers.SecretKey, "")})
	must(t, err)
	name := fmt.Sprintf("bucket-%d", counter.Add(1))
	must(t, c.MakeBucket(t.Context(), name, minio.MakeBucketOptions{}))
	return artifact.Location{Scheme: artifact.SchemeS3, Bucket: name, Path: "runs/1"}
}

func store(t *testing.T, c s3.Config, at artifact.Location) *s3.Store {
	t.Helper()
	s, err := s3.New(c, at)
	must(t, err)
	return s
}

func TestMinIO(t *testing.T) {
	t.Parallel()
	server := servers.MinIO(t)
	artifacttest.Exercise(t, func(t *testing.T) artifact.Store { return store(t, config(server), bucket(t, server)) })
	t.Run("the whole bucket", func(t *testing.T) {
		t.Parallel()
		at := bucket(t, server)
		at.Path = ""
		s := store(t, config(server), at)
		_, err := s.Put(t.Context(), "a/b", strings.NewReader("x"))
		must(t, err)
		for i, err := range s.List(t.Context(), "") {
			must(t, err)
			if i.Name != "a/b" || s.URL(i.Name) != "s3://"+at.Bucket+"/a/b" {
				t.Errorf("listed %s at %s", i.Name, s.URL(i.Name))
			}
		}
	})
	t.Run("parts", func(t *testing.T) { t.Parallel(); parts(t, server) })
	t.Run("refusals", func(t *testing.T) { t.Parallel(); refusals(t, server) })
	t.Run("lost answers", func(t *testing.T) { t.Parallel(); lostAnswers(t, server) })
	t.Run("broken streams", func(t *testing.T) { t.Parallel(); brokenStreams(t, server) })
	t.Run("registry", func(t *testing.T) { t.Parallel(); registry(t, server) })
}

func TestVersityGW(t *testing.T) {
	t.Parallel()
	server := servers.VersityGW(t)
	artifacttest.Exercise(t, func(t *testing.T) artifact.Store { return store(t, config(server), bucket(t, server)) })
	t.Run("parts", func(t *testing.T) { t.Parallel(); parts(t, server) })
	t.Run("registry", func(t *testing.T) { t.Parallel(); registry(t, server) })
}

// registry has several processes share a registry of models in the store.
func registry(t *testing.T, server *servers.Server) {
	at := bucket(t, server)
	tracktest.Registry(t, tracktest.RegistryHarness{
		Open: func(t *testing.T) track.Registry {
			return spool.NewStoreRegistry(store(t, config(server), at), time.Now)
		},
		Source: func(_ *testing.T, unit string) (string, string) { return at.Join(unit).String(), unit },
	})
}

// parts writes objects around the borders of parts, as every kind of write.
func parts(t *testing.T, server *servers.Server) {
	c := config(server)
	s := store(t, c, bucket(t, server))
	for _, size := range []int{c.PartSize - 1, c.PartSize, c.PartSize + 1, 2 * c.PartSize, 2*c.PartSize + 12345} {
		want := make([]byte, size)
		_, err := rand.Read(want)
		must(t, err)
		name := fmt.Sprintf("%d.bin", size)
		first, err := s.Create(t.Context(), name, bytes.NewReader(want))
		must(t, err)
		if _, err := s.Create(t.Context(), name, bytes.NewReader(want)); !errors.Is(err, fs.ErrExist) {
			t.Errorf("second create of %d bytes: %v, want fs.ErrExist", size, err)
		}
		want[size/2]++
		if _, err = s.Replace(t.Context(), name, first.ETag, bytes.NewReader(want)); err != nil {
			t.Errorf("replace of %d bytes: %v", size, err)
		}
		if _, err := s.Replace(t.Context(), name, first.ETag, bytes.NewReader(want)); !errors.Is(err, artifact.ErrChanged) {
			t.Errorf("replace of a stale ETag with %d bytes: %v, want ErrChanged", size, err)
		}
		r, i, err := s.Get(t.Context(), name)
		must(t, err)
		got, err := io.ReadAll(r)
		must(t, err, r.Close())
		if !bytes.Equal(got, want) || i.Size != int64(size) {
			t.Errorf("%d bytes came back as %d others", size, len(got))
		}
	}
}

func refusals(t *testing.T, server *servers.Server) {
	at := bucket(t, server)
	expect := func(what string, err, want error, says string) {
		t.Helper()
		if !errors.Is(err, want) || !strings.Contains(fmt.Sprint(err), says) {
			t.Errorf("%s: %v, want %v that says %q", what, err, want, says)
		}
	}
	try := func(what string, c s3.Config, at artifact.Location, want error, says string) {
		t.Helper()
		s := store(t, c, at)
		_, err := s.Put(t.Context(), "a", strings.NewReader("x"))
		expect(what+", put", err, want, says)
		_, _, err = s.Get(t.Context(), "a")
		expect(what+", get", err, want, "")
		_, err = s.Stat(t.Context(), "a")
		expect(what+", stat", err, want, "")
		for _, err := range s.List(t.Context(), "") {
			expect(what+", list", err, want, says)
		}
	}
	wrong := config(server)
	wrong.SecretKey = "wrong"
	try("a wrong secret", wrong, at, fs.ErrPermission, "AWS_SECRET_ACCESS_KEY")
	wrong = config(server)
	wrong.AccessKey = "nobody"
	try("an unknown key", wrong, at, fs.ErrPermission, "AWS_ACCESS_KEY_ID")
	nowhere := at
	nowhere.Bucket = "no-such-bucket"
	try("no bucket", config(server), nowhere, fs.ErrNotExist, `no bucket "no-such-bucket"`)
	away := config(server)
	away.Endpoint, away.Patience = "http://127.0.0.1:1", time.Second
	try("nobody there", away, at, artifact.ErrUnavailable, "AWS_ENDPOINT_URL")
	tls := config(server)
	tls.Endpoint = strings.Replace(server.URL, "http://", "https://", 1)
	if _, err := store(t, tls, at).Stat(t.Context(), "a"); err == nil || !strings.Contains(err.Error(), "does not speak TLS") {
		t.Errorf("TLS where there is none: %v", err)
	}
	none := config(server)
	none.AccessKey = ""
	_, err := s3.New(none, at)
	expect("no credentials", err, fs.ErrPermission, "AWS_ACCESS_KEY_ID")

	none.CredentialsFile, none.Profile = t.TempDir()+"/credentials", "tests"
	must(t, os.WriteFile(none.CredentialsFile, fmt.Appendf(nil, "[tests]\naws_access_key_id = %s\naws_secret_access_key = %s\n", servers.AccessKey, servers.SecretKey), 0o600))
	_, err = store(t, none, at).Put(t.Context(), "by profile", strings.NewReader("x"))
	must(t, err)
}

// roundTripper is a network with faults.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

var errLost = errors.New("the connection was reset")

// A write whose answer is lost after the server has done it succeeds, and is there once.
func lostAnswers(t *testing.T, server *servers.Server) {
	for _, size := range []int{10, 6 << 20} {
		for _, kind := range []string{"put", "create", "replace"} {
			at := bucket(t, server)
			plain := store(t, config(server), at)
			var etag string
			if kind == "replace" {
				i, err := plain.Put(t.Context(), "a", strings.NewReader("before"))
				must(t, err)
				etag = i.ETag
			}
			var lost atomic.Int64
			c := config(server)
			seen := map[string]bool{} // one goroutine writes
			c.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
				resp, err := http.DefaultTransport.RoundTrip(r)
				id := r.Method + r.URL.RawQuery
				if err == nil && r.Method != http.MethodHead && r.Method != http.MethodGet && !seen[id] {
					seen[id] = true
					lost.Add(1)
					resp.Body.Close()
					return nil, errLost
				}
				return resp, err
			})
			s := store(t, c, at)
			want := bytes.Repeat([]byte("x"), size)
			var err error
			switch kind {
			case "put":
				_, err = s.Put(t.Context(), "a", bytes.NewReader(want))
			case "create":
				_, err = s.Create(t.Context(), "a", bytes.NewReader(want))
			case "replace":
				_, err = s.Replace(t.Context(), "a", etag, bytes.NewReader(want))
			}
			if err != nil {
				t.Errorf("%s of %d bytes with lost answers: %v", kind, size, err)
			}
			if lost.Load() == 0 {
				t.Error("no answer was lost")
			}
			r, _, err := plain.Get(t.Context(), "a")
			must(t, err)
			got, err := io.ReadAll(r)
			must(t, err, r.Close())
			if !bytes.Equal(got, want) {
				t.Errorf("%s of %d bytes left %d bytes", kind, size, len(got))
			}
		}
	}
}

// cut is a body that breaks after some bytes.
type cut struct {
	io.ReadCloser
	left int
}

func (c *cut) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, errLost
	}
	n, err := c.ReadCloser.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

// A stream that breaks again and again is read to its end; one that is changed under way is not mixed; one whose bytes turn is noticed.
func brokenStreams(t *testing.T, server *servers.Server) {
	at := bucket(t, server)
	plain := store(t, config(server), at)
	want := make([]byte, 7<<20)
	_, err := rand.Read(want)
	must(t, err)
	_, err = plain.Put(t.Context(), "a", bytes.NewReader(want))
	must(t, err)

	read := func(change func(*http.Response)) ([]byte, error) {
		c := config(server)
		c.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			resp, err := http.DefaultTransport.RoundTrip(r)
			if err == nil && r.Method == http.MethodGet {
				change(resp)
			}
			return resp, err
		})
		r, _, err := store(t, c, at).Get(t.Context(), "a")
		must(t, err)
		defer r.Close()
		return io.ReadAll(r)
	}
	got, err := read(func(r *http.Response) { r.Body = &cut{r.Body, 1 << 20} })
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("a stream broken every MiB: %d bytes, %v", len(got), err)
	}
	_, err = read(func(r *http.Response) { r.Body = &turned{r.Body} })
	if err == nil || !strings.Contains(err.Error(), "checksum") {
		t.Errorf("a stream with a turned bit: %v, want that the checksum differs", err)
	}
	changed := false
	_, err = read(func(r *http.Response) {
		r.Body = &cut{r.Body, 1 << 20}
		if !changed {
			changed = true
			_, err := plain.Put(context.WithoutCancel(t.Context()), "a", strings.NewReader("another"))
			must(t, err)
		}
	})
	if !errors.Is(err, artifact.ErrChanged) {
		t.Errorf("an object that changed while it was read: %v, want ErrChanged", err)
	}
}

type turned struct{ io.ReadCloser }

func (c *turned) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	if n > 0 {
		p[0] ^= 1
	}
	return n, err
}

// The server is killed in the middle of an upload and comes back: the upload goes on. It stays away: the error says so, nothing is half there.
func TestServerDies(t *testing.T) {
	t.Parallel()
	server := servers.MinIO(t)
	at := bucket(t, server)
	c := config(server)
	c.Patience = 30 * time.Second
	s := store(t, c, at)
	dying := func(then func()) io.Reader {
		return io.MultiReader(bytes.NewReader(make([]byte, 12<<20)), once(then), bytes.NewReader(make([]byte, 12<<20)))
	}
	back := make(chan struct{})
	_, err := s.Create(t.Context(), "a", dying(func() {
		server.Stop(t)
		go func() {
			defer close(back)
			time.Sleep(time.Second)
			server.Start(t, "/minio/health/ready")
		}()
	}))
	<-back
	must(t, err)
	if i, err := s.Stat(t.Context(), "a"); err != nil || i.Size != 24<<20 {
		t.Errorf("after the server came back: %+v, %v", i, err)
	}
	c.Patience = time.Second
	_, err = store(t, c, at).Create(t.Context(), "b", dying(func() { server.Stop(t) }))
	if !errors.Is(err, artifact.ErrUnavailable) {
		t.Errorf("the server stays away: %v, want ErrUnavailable", err)
	}
	server.Start(t, "/minio/health/ready")
	if _, err := s.Stat(t.Context(), "b"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a write that failed left something: %v", err)
	}
}

// once is an empty reader that does something when it is read.
type once func()

func (f once) Read([]byte) (int, error) {
	f()
	return 0, io.EOF
}
