package workspacetest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
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
