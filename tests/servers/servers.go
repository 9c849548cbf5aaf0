package servers

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// AccessKey and SecretKey open the object stores.
const (
	AccessKey = "salescast-tests"
	SecretKey = "not-a-secret-only-for-tests"
)

// Server is a running server. It ends with the test.
type Server struct {
	// URL is its address without a slash at the end.
	URL string
	// Dir is the folder of its data.
	Dir string

	client *http.Client // knows the certificate of a server that speaks TLS

	cmd  *exec.Cmd
	args []string
	env  []string
	log  string
	dead chan struct{}
}

// Tool returns the path of something that make servers installs under .build, and fails the test where it is missing.
func Tool(t testing.TB, name string) string {
	t.Helper()
	_, file, _, _ := runtime.Caller(0)
	p := filepath.Join(filepath.Dir(file), "..", "..", ".build", name)
	if _, err := os.Stat(p); err != nil {
		t.Fatalf("the server of this test is not installed: run make servers (%v)", err)
	}
	return p
}

func freePort(t testing.TB) string {
	t.Helper()
	return freePortAt(t, loopback)
}

func freePortAt(t testing.TB, host string) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

const loopback = "127.0.0.1"

// run starts a server and waits until path answers 200.
func run(t testing.TB, dir, health, port string, env []string, args ...string) *Server {
	t.Helper()
	return runAt(t, loopback, dir, health, port, env, args...)
}

func runAt(t testing.TB, host, dir, health, port string, env []string, args ...string) *Server {
	t.Helper()
	s := &Server{URL: "http://" + host + ":" + port, Dir: dir, client: http.DefaultClient, args: args, env: env, log: filepath.Join(dir, "server.log")}
	s.Start(t, health)
	t.Cleanup(func() { s.Stop(t) })
	return s
}

// Start starts the server again, where it stood before, after a Stop, and waits until the path health answers 200.
func (s *Server) Start(t testing.TB, health string) {
	t.Helper()
	s.launch(t)
	deadline := time.After(5 * time.Minute)
	for {
		resp, err := s.client.Get(s.URL + health) //nolint:noctx // bounded by the deadline below
		if err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-s.dead:
			t.Fatalf("%s ended while it started:\n%s", s.args[0], s.tail())
		case <-deadline:
			s.Stop(t)
			t.Fatalf("%s did not answer in five minutes:\n%s", s.args[0], s.tail())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// launch starts the server's process.
func (s *Server) launch(t testing.TB) {
	t.Helper()
	out, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	s.cmd = exec.CommandContext(context.Background(), s.args[0], s.args[1:]...) //nolint:gosec // a server that make servers installed
	s.cmd.Env = append([]string{"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=" + s.Dir}, s.env...)
	s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr = s.Dir, out, out
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	dead := make(chan struct{})
	s.dead = dead
	cmd := s.cmd
	go func() {
		_ = cmd.Wait()
		close(dead)
	}()
}

func (s *Server) tail() string {
	b, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-4000):])
}

// Stop kills the server and its children, as a machine that fails does.
func (s *Server) Stop(testing.TB) {
	if s.cmd == nil {
		return
	}
	_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
	<-s.dead
	s.cmd = nil
}

// MinIO starts a MinIO server.
func MinIO(t testing.TB) *Server {
	t.Helper()
	return MinIOAt(t, loopback)
}

// MinIOAt starts a MinIO server that listens on an address of this machine.
func MinIOAt(t testing.TB, host string) *Server {
	t.Helper()
	dir, port := t.TempDir(), freePortAt(t, host)
	return runAt(t, host, dir, "/minio/health/ready", port,
		[]string{"MINIO_ROOT_USER=" + AccessKey, "MINIO_ROOT_PASSWORD=" + SecretKey, "MINIO_BROWSER=off", "MINIO_UPDATE=off"},
		Tool(t, "bin/minio"), "server", filepath.Join(dir, "data"), "--address", host+":"+port, "--quiet")
}

// MinIOConsole starts a MinIO server with its console, and returns the address of that, too.
func MinIOConsole(t testing.TB) (s *Server, console string) {
	t.Helper()
	dir, port, at := t.TempDir(), freePort(t), "127.0.0.1:"+freePort(t)
	s = run(t, dir, "/minio/health/ready", port,
		[]string{"MINIO_ROOT_USER=" + AccessKey, "MINIO_ROOT_PASSWORD=" + SecretKey, "MINIO_UPDATE=off"},
		Tool(t, "bin/minio"), "server", filepath.Join(dir, "data"), "--address", "127.0.0.1:"+port, "--console-address", at, "--quiet")
	return s, "http://" + at
}

// MinIOTLS starts a MinIO server that speaks TLS with a certificate of a private authority, and returns the file of that authority's
// certificate and a client that trusts it.
func MinIOTLS(t testing.TB) (s *Server, authority string, trusting *http.Transport) {
	t.Helper()
	dir, port := t.TempDir(), freePort(t)
	certs := filepath.Join(dir, "certs")
	if err := os.Mkdir(certs, 0o700); err != nil {
		t.Fatal(err)
	}
	authority = filepath.Join(dir, "authority.pem")
	pool := certificates(t, authority, filepath.Join(certs, "public.crt"), filepath.Join(certs, "private.key"))
	trusting = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
	s = &Server{
		URL: "https://127.0.0.1:" + port, Dir: dir, client: &http.Client{Transport: trusting}, log: filepath.Join(dir, "server.log"),
		env: []string{"MINIO_ROOT_USER=" + AccessKey, "MINIO_ROOT_PASSWORD=" + SecretKey, "MINIO_BROWSER=off", "MINIO_UPDATE=off"},
		args: []string{
			Tool(t, "bin/minio"), "server", filepath.Join(dir, "data"), "--address", "127.0.0.1:" + port, "--certs-dir", certs, "--quiet",
		},
	}
	s.Start(t, "/minio/health/ready")
	t.Cleanup(func() { s.Stop(t) })
	return s, authority, trusting
}

// certificates makes an authority and a certificate by it for 127.0.0.1.
func certificates(t testing.TB, authority, certificate, key string) *x509.CertPool {
	t.Helper()
	fatal := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	write := func(name, kind string, der []byte) {
		t.Helper()
		fatal(os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	}
	from, until := time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "an authority of tests"}, NotBefore: from, NotAfter: until,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	fatal(err)
	rootDER, err := x509.CreateCertificate(rand.Reader, root, root, rootKey.Public(), rootKey)
	fatal(err)
	write(authority, "CERTIFICATE", rootDER)
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "store"}, NotBefore: from, NotAfter: until,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	fatal(err)
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, root, leafKey.Public(), rootKey)
	fatal(err)
	write(certificate, "CERTIFICATE", leafDER)
	keyDER, err := x509.MarshalPKCS8PrivateKey(leafKey)
	fatal(err)
	write(key, "PRIVATE KEY", keyDER)
	parsed, err := x509.ParseCertificate(rootDER)
	fatal(err)
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return pool
}

// VersityGW starts versity's gateway over a folder.
func VersityGW(t testing.TB) *Server {
	t.Helper()
	dir, port := t.TempDir(), freePort(t)
	for _, sub := range []string{"data", "sidecar"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return run(t, dir, "/health", port, []string{"ROOT_ACCESS_KEY=" + AccessKey, "ROOT_SECRET_KEY=" + SecretKey},
		Tool(t, "bin/versitygw"), "--port", "127.0.0.1:"+port, "--health", "/health", "posix", "--sidecar", filepath.Join(dir, "sidecar"), filepath.Join(dir, "data"))
}

// MLflowVersion is the release of MLflow that tests run, that of make servers or, in SALESCAST_TEST_MLFLOW, an older one.
func MLflowVersion() string {
	if v := os.Getenv("SALESCAST_TEST_MLFLOW"); v != "" {
		return v
	}
	return "3.17"
}

// MLflow starts an MLflow tracking server that proxies its artifacts, which lie in its folder.
func MLflow(t testing.TB, extra ...string) *Server {
	t.Helper()
	return MLflowAt(t, loopback, extra...)
}

// MLflowAt starts such a server that listens on an address of this machine.
func MLflowAt(t testing.TB, host string, extra ...string) *Server {
	t.Helper()
	dir, port := t.TempDir(), freePortAt(t, host)
	args := []string{
		Tool(t, "venvs/mlflow-"+MLflowVersion()+"/bin/mlflow"), "server", "--backend-store-uri", "sqlite:///" + filepath.Join(dir, "mlflow.db"),
		"--serve-artifacts", "--artifacts-destination", filepath.Join(dir, "artifacts"), "--host", host, "--port", port, "--workers", "1",
	}
	env := []string{"MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false", "MLFLOW_DISABLE_TELEMETRY=true"}
	for _, e := range extra {
		if strings.Contains(e, "=") && !strings.HasPrefix(e, "--") {
			env = append(env, e)
		} else {
			args = append(args, e)
		}
	}
	return runAt(t, host, dir, "/health", port, env, args...)
}
