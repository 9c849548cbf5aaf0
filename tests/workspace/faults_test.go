package workspacetest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"salescast/pkg/artifact"
	"salescast/pkg/regress/regresstest"
	"salescast/tests/servers"
)

// bucket is a bucket of a store, seen by a client of its own.
type bucket struct{ *minio.Client }

func makeBucket(t *testing.T, address string, transport http.RoundTripper) bucket {
	t.Helper()
	u, err := url.Parse(address)
	must(t, err)
	c, err := minio.New(u.Host, &minio.Options{
		Creds: credentials.NewStaticV4(servers.AccessKey, servers.SecretKey, ""), Secure: u.Scheme == "https", Transport: transport,
	})
	must(t, err, c.MakeBucket(t.Context(), "sales", minio.MakeBucketOptions{}))
	return bucket{c}
}

func (b bucket) names(t *testing.T, prefix string) (names []string) {
	t.Helper()
	for o := range b.ListObjectsIter(t.Context(), "sales", minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
		must(t, o.Err)
		names = append(names, o.Key)
	}
	return names
}

func (b bucket) manifest(t *testing.T, step string) artifact.Manifest {
	t.Helper()
	o, err := b.GetObject(t.Context(), "sales", step+"/"+artifact.ManifestName, minio.GetObjectOptions{})
	must(t, err)
	m, err := artifact.ReadManifest(o)
	must(t, err, o.Close())
	return m
}

// before lets a function answer, or delay, what goes to a store; it returns whether it has answered.
func before(t *testing.T, store string, f func(http.ResponseWriter, *http.Request) bool) string {
	t.Helper()
	to, err := url.Parse(store)
	must(t, err)
	// The name of the host is signed: it stays.
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to); r.Out.Host = r.In.Host }}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !f(w, r) {
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func program(t *testing.T, store string) command {
	t.Helper()
	return command{build(t), []string{
		"SALESCAST_ENGINE_DIR=" + regresstest.EngineDir(t), "HOME=" + t.TempDir(), "SALESCAST_STATE_DIR=" + t.TempDir(),
		"AWS_ENDPOINT_URL=" + store, "AWS_ACCESS_KEY_ID=" + servers.AccessKey, "AWS_SECRET_ACCESS_KEY=" + servers.SecretKey,
	}}
}

// A store whose certificate is of a private authority is used where that is named, and refused where it is not.
func TestPrivateAuthority(t *testing.T) {
	t.Parallel()
	server, authority, trusting := servers.MinIOTLS(t)
	b := makeBucket(t, server.URL, trusting)
	c := program(t, server.URL)
	code, _, said := c.run(t, append(generate, "s3://sales/runs/1")...)
	if code != 78 || !strings.Contains(said, "AWS_CA_BUNDLE") {
		t.Errorf("an unknown authority: exit %d, want 78 and the name of the variable\n%s", code, said)
	}
	trusts := c.with("AWS_CA_BUNDLE=" + authority)
	trusts.want(t, 0, append(generate, "s3://sales/runs/1")...)
	if m := b.manifest(t, "runs/1/data"); len(m.Files) == 0 {
		t.Error("the step has no files")
	}
	if out := trusts.want(t, 0, append(generate, "s3://sales/runs/1")...); !strings.Contains(out, `"cached"`) {
		t.Errorf("the step is done again: %s", out)
	}
}

// A run whose store is full in its midst says so, to be tried again; once there is space it goes on where it was.
func TestStoreFills(t *testing.T) {
	t.Parallel()
	server := servers.MinIO(t)
	b := makeBucket(t, server.URL, nil)
	var full atomic.Bool
	full.Store(true)
	c := program(t, before(t, server.URL, func(w http.ResponseWriter, r *http.Request) bool {
		writes := r.Method == http.MethodPut || r.Method == http.MethodPost
		if !full.Load() || !writes || !strings.Contains(r.URL.Path, "/ensemble/") {
			return false
		}
		w.WriteHeader(http.StatusInsufficientStorage)
		_, _ = io.WriteString(w, `<?xml version="1.0"?><Error><Code>XMinioStorageFull</Code><Message>Storage backend has reached its minimum free drive threshold.</Message></Error>`)
		return true
	}))
	const remote = "s3://sales/runs/1"
	run := []string{"run", "--models", "smoothing", "--horizon", "7", "-w", remote}
	c.want(t, 0, "generate", "--stores", "2", "--items", "2", "--start", "2023-01-01", "--end", "2024-06-30", "-w", remote)
	if code, _, said := c.run(t, run...); code != 75 || !strings.Contains(said, "is full") || !strings.Contains(said, "free some space") {
		t.Errorf("a full store: exit %d, want 75 and what to do\n%s", code, said)
	}
	if names := b.names(t, "runs/1/ensemble/"); len(names) != 0 {
		t.Errorf("the step that failed left %v", names)
	}
	trained := b.manifest(t, "runs/1/train/smoothing")
	full.Store(false)
	c.want(t, 0, run...)
	if again := b.manifest(t, "runs/1/train/smoothing"); again.Attempt != trained.Attempt {
		t.Errorf("a step that was done before the store was full was done again: %s, %s", trained.Attempt, again.Attempt)
	}
	b.manifest(t, "runs/1/report")
}

// A store that is not there is said with what to do, to be tried again; once it is there the same command succeeds.
func TestStoreAway(t *testing.T) {
	t.Parallel()
	server := servers.MinIO(t)
	b := makeBucket(t, server.URL, nil)
	var away atomic.Bool
	away.Store(true)
	c := program(t, before(t, server.URL, func(http.ResponseWriter, *http.Request) bool {
		if away.Load() {
			panic(http.ErrAbortHandler)
		}
		return false
	}))
	if code, _, said := c.run(t, "doctor", "-w", "s3://sales/runs/1"); code != 69 || !strings.Contains(said, "workspace failed") {
		t.Errorf("the doctor of a store that is away: exit %d\n%s", code, said)
	}
	away.Store(false)
	c.want(t, 0, append(generate, "s3://sales/runs/1")...)
	b.manifest(t, "runs/1/data")
	server.Stop(t)
	done := make(chan struct{})
	go func() { // the step waits for the store in between
		defer close(done)
		time.Sleep(3 * time.Second)
		server.Start(t, "/minio/health/ready")
	}()
	c.want(t, 0, append(generate, "s3://sales/runs/2")...)
	<-done
	b.manifest(t, "runs/2/data")
}

// An upload that is cut off on its way is sent again; one that arrives shorter than it was sent is refused by its checksum and sent again;
// an object that is cut at rest is noticed by whoever reads it, and made again by the step that wrote it.
func TestTruncated(t *testing.T) {
	t.Parallel()
	server := servers.MinIO(t)
	b := makeBucket(t, server.URL, nil)
	for name, cut := range map[string]func(r *http.Request, body []byte){
		"off": func(*http.Request, []byte) { panic(http.ErrAbortHandler) },
		"shorter": func(r *http.Request, body []byte) {
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var cuts atomic.Int64
			c := program(t, before(t, server.URL, func(_ http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, ".parquet") && cuts.Add(1) == 1 {
					half := make([]byte, r.ContentLength/2)
					_, _ = io.ReadFull(r.Body, half)
					cut(r, half)
				}
				return false
			}))
			c.want(t, 0, append(generate, "s3://sales/"+name)...)
			if cuts.Load() < 2 {
				t.Errorf("%d uploads, want one more than is cut", cuts.Load())
			}
			b.verify(t, name+"/data")
		})
	}
	t.Run("at rest", func(t *testing.T) {
		t.Parallel()
		c := program(t, server.URL)
		const remote = "s3://sales/rest"
		c.want(t, 0, append(generate, remote)...)
		m := b.manifest(t, "rest/data")
		at := slices.IndexFunc(m.Files, func(f artifact.File) bool { return strings.HasPrefix(f.Name, "sales/") })
		object := "rest/data/" + m.Files[at].Object
		r, err := b.GetObject(t.Context(), "sales", object, minio.GetObjectOptions{})
		must(t, err)
		half := make([]byte, m.Files[at].Size/2)
		_, err = io.ReadFull(r, half)
		must(t, err)
		_, err = b.PutObject(t.Context(), "sales", object, bytes.NewReader(half), int64(len(half)), minio.PutObjectOptions{})
		must(t, err)
		code, _, said := c.run(t, "validate", "-w", remote)
		if code != 65 || !strings.Contains(said, "generate --force") {
			t.Errorf("a file that was cut at rest: exit %d, want 65 and how to make it again\n%s", code, said)
		}
		c.want(t, 0, append(generate, remote)...) // it sees for itself that its file is not whole
		b.verify(t, "rest/data")
		c.want(t, 0, "validate", "-w", remote)
	})
}

// verify compares every file of a step with its manifest.
func (b bucket) verify(t *testing.T, step string) {
	t.Helper()
	for _, f := range b.manifest(t, step).Files {
		o, err := b.GetObject(t.Context(), "sales", step+"/"+f.Object, minio.GetObjectOptions{})
		must(t, err)
		h := sha256.New()
		n, err := io.Copy(h, o)
		must(t, err, o.Close())
		if n != f.Size || hex.EncodeToString(h.Sum(nil)) != f.SHA256 {
			t.Errorf("%s has %d bytes of %d, or others", f.Name, n, f.Size)
		}
	}
}

// Two processes that finish the same step at the same moment leave one manifest and the files of one of them: both succeed where they
// did the same, and one is told to try again where they did not.
func TestTwoPublish(t *testing.T) {
	t.Parallel()
	server := servers.MinIO(t)
	b := makeBucket(t, server.URL, nil)
	for _, test := range []struct {
		name  string
		seeds [2]string
		codes map[int]int
	}{
		{"same", [2]string{"1", "1"}, map[int]int{0: 2}},
		{"other", [2]string{"1", "2"}, map[int]int{0: 1, 75: 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var waiting atomic.Int64
			both := make(chan struct{})
			c := program(t, before(t, server.URL, func(_ http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/data/"+artifact.ManifestName) {
					if waiting.Add(1) == 2 {
						close(both)
					}
					select {
					case <-both:
					case <-time.After(time.Minute):
						t.Error("no second process wrote a manifest within a minute")
					}
				}
				return false
			}))
			var (
				done  sync.WaitGroup
				codes [2]int
				said  [2]string
			)
			for i := range codes {
				done.Go(func() {
					codes[i], _, said[i] = c.run(t, append(generate, "s3://sales/"+test.name, "--seed", test.seeds[i])...)
				})
			}
			done.Wait()
			got := map[int]int{}
			for _, code := range codes {
				got[code]++
			}
			for code, n := range test.codes {
				if got[code] != n {
					t.Fatalf("exits %v, want %v\n%s\n%s", got, test.codes, said[0], said[1])
				}
			}
			m := b.manifest(t, test.name+"/data")
			want := map[string]bool{test.name + "/data/" + artifact.ManifestName: true}
			for _, f := range m.Files {
				want[test.name+"/data/"+f.Object] = true
			}
			for _, name := range b.names(t, test.name+"/data/") {
				if !want[name] {
					t.Errorf("%s is of no manifest", name)
				}
				delete(want, name)
			}
			for name := range want {
				t.Errorf("%s is not there", name)
			}
		})
	}
}
