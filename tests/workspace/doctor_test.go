package workspacetest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"salescast/pkg/regress/regresstest"
	"salescast/tests/servers"
)

// answering is a service that answers everything alike.
func answering(t *testing.T, status int, body string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// readOnlyUser starts an MLflow server that has an experiment and a user who may only read it, and returns that user's environment.
func readOnlyUser(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	conf := filepath.Join(dir, "auth.ini")
	must(t, os.WriteFile(conf, []byte("[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///"+filepath.Join(dir, "auth.db")+
		"\nadmin_username = keeper\nadmin_password = only-for-tests-1\nauthorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"), 0o600))
	server := servers.MLflow(t, "--app-name", "basic-auth", "MLFLOW_AUTH_CONFIG_PATH="+conf, "MLFLOW_FLASK_SERVER_SECRET_KEY=only-for-tests")
	for path, body := range map[string]string{
		"experiments/create": `{"name":"salescast"}`, "users/create": `{"username":"reader","password":"only-for-tests-2"}`,
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/api/2.0/mlflow/"+path, strings.NewReader(body))
		must(t, err)
		req.Header.Set("Content-Type", "application/json")
		req.SetBasicAuth("keeper", "only-for-tests-1")
		resp, err := http.DefaultClient.Do(req)
		must(t, err)
		said, err := io.ReadAll(resp.Body)
		must(t, err, resp.Body.Close())
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d %s", path, resp.StatusCode, said)
		}
	}
	return "MLFLOW_TRACKING_URI=" + server.URL + " MLFLOW_TRACKING_USERNAME=reader MLFLOW_TRACKING_PASSWORD=only-for-tests-2 MLFLOW_EXPERIMENT_NAME=salescast"
}

// The doctor tells every fault of the store and of MLflow from the others, and says what cures it.
func TestDoctor(t *testing.T) {
	t.Parallel()
	store, tracker := servers.MinIO(t), servers.MLflow(t)
	client, err := minio.New(strings.TrimPrefix(store.URL, "http://"), &minio.Options{Creds: credentials.NewStaticV4(servers.AccessKey, servers.SecretKey, "")})
	must(t, err, client.MakeBucket(t.Context(), "sales", minio.MakeBucketOptions{}))
	c := command{build(t), []string{
		"HOME=" + t.TempDir(), "SALESCAST_ENGINE_DIR=" + regresstest.EngineDir(t), "MLFLOW_TRACKING_URI=" + tracker.URL,
		"AWS_ENDPOINT_URL=" + store.URL, "AWS_ACCESS_KEY_ID=" + servers.AccessKey, "AWS_SECRET_ACCESS_KEY=" + servers.SecretKey,
	}}
	tlsStore := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(tlsStore.Close)
	// A name of another machine, as a proxy or a container gives it.
	to, err := url.Parse(tracker.URL)
	must(t, err)
	foreign := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to); r.Out.Host = "mlflow.example:5000" }})
	t.Cleanup(foreign.Close)

	reader := readOnlyUser(t)

	const full = `<?xml version="1.0"?><Error><Code>XMinioStorageFull</Code><Message>full</Message></Error>`
	for _, test := range []struct {
		name, check, env, workspace, status, hint string
	}{
		{"a user who may only read", "mlflow", reader, "s3://sales/runs/1", "failed", "give this user the permission EDIT"},
		{"store", "workspace", "A=b", "s3://sales/runs/1", "ok", ""},
		{"mlflow", "mlflow", "A=b", "s3://sales/runs/1", "ok", ""},
		{"wrong keys", "workspace", "AWS_SECRET_ACCESS_KEY=wrong", "s3://sales/runs/1", "failed", "AWS_ACCESS_KEY_ID"},
		{"no keys", "workspace", "AWS_ACCESS_KEY_ID=", "s3://sales/runs/1", "failed", "AWS_ACCESS_KEY_ID"},
		{"no bucket", "workspace", "A=b", "s3://nothing/runs/1", "failed", "make the bucket"},
		{"store away", "workspace", "AWS_ENDPOINT_URL=http://127.0.0.1:1", "s3://sales/runs/1", "failed", "start the store"},
		{"store full", "workspace", "AWS_ENDPOINT_URL=" + answering(t, http.StatusInsufficientStorage, full), "s3://sales/runs/1", "failed", "free space"},
		{"store with a private authority", "workspace", "AWS_ENDPOINT_URL=" + tlsStore.URL, "s3://sales/runs/1", "failed", "AWS_CA_BUNDLE"},
		{"mlflow away", "mlflow", "MLFLOW_TRACKING_URI=http://127.0.0.1:1", "s3://sales/runs/1", "failed", "start the server, or correct MLFLOW_TRACKING_URI"},
		{"mlflow refuses the name", "mlflow", "MLFLOW_TRACKING_URI=" + foreign.URL, "s3://sales/runs/1", "failed", "MLFLOW_SERVER_ALLOWED_HOSTS"},
		{"mlflow refuses us", "mlflow", "MLFLOW_TRACKING_URI=" + answering(t, http.StatusUnauthorized, "who?"), "s3://sales/runs/1", "failed", "MLFLOW_TRACKING_USERNAME"},
		{"not mlflow", "mlflow", "MLFLOW_TRACKING_URI=" + answering(t, http.StatusOK, "<html>hello</html>"), "s3://sales/runs/1", "failed", "correct MLFLOW_TRACKING_URI"},
		{"mlflow with a private authority", "mlflow", "MLFLOW_TRACKING_URI=" + tlsStore.URL, "s3://sales/runs/1", "failed", "MLFLOW_TRACKING_SERVER_CERT_PATH"},
	} {
		_, out, said := c.with(strings.Fields(test.env)...).run(t, "doctor", "-o", "json", "-w", test.workspace)
		var d struct {
			Findings []struct{ Check, Status, Message, Hint string }
		}
		if err := json.Unmarshal([]byte(out), &d); err != nil {
			t.Fatalf("%s: %v: %s%s", test.name, err, out, said)
		}
		found := false
		for _, f := range d.Findings {
			if f.Check != test.check {
				continue
			}
			found = true
			if f.Status != test.status || !strings.Contains(f.Hint, test.hint) || (f.Hint == "") != (test.hint == "") {
				t.Errorf("%s: %+v, want %s with a hint of %q", test.name, f, test.status, test.hint)
			}
		}
		if !found {
			t.Errorf("%s: there is no finding of %s", test.name, test.check)
		}
	}
	if code, _, said := c.with(strings.Fields(reader)...).run(t, append(generate, t.TempDir())...); code != 77 || !strings.Contains(said, "may not do this") {
		t.Errorf("a step of a user who may only read: exit %d\n%s", code, said)
	}
	for o := range client.ListObjectsIter(t.Context(), "sales", minio.ListObjectsOptions{Recursive: true}) {
		t.Errorf("the doctor left %s behind", o.Key)
	}
}
