//go:build images

package compose

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
)

// The images are built and their services run without a container engine: the base images' stand-ins are Debian by debootstrap, which
// debian:bookworm-slim is made with too; Debian's Python for python:3.11; this machine's Go for golang; and pip's Airflow for Astronomer's
// runtime, whose real image nobody can have without an engine. "make test-images" makes the namespaces and Debian.
func TestImages(t *testing.T) {
	if os.Getenv("SALESCAST_IMAGES_DEBIAN") == "" {
		t.Fatal("run make test-images, which makes the namespaces and a Debian that this test needs")
	}
	must(t, syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""))
	b := newBuilder(t)
	project := merged(t)
	images := map[string]*image{"scheduler": b.build(t, project.WorkingDir, filepath.Join(project.WorkingDir, "Dockerfile"))}
	built := map[string]*image{}
	for _, name := range slices.Sorted(maps.Keys(project.Services)) {
		s := project.Services[name]
		if s.Build == nil {
			continue
		}
		file := filepath.Join(s.Build.Context, s.Build.Dockerfile)
		if built[file] == nil {
			built[file] = b.build(t, s.Build.Context, file)
		}
		images[name] = built[file]
	}
	n := network{t: t, hub: newHub(t), services: project.Services, images: images, running: map[string]*exec.Cmd{}}
	n.start("minio")
	n.healthy("minio", 2*time.Minute)
	n.once("minio-bucket")
	n.once("minio-bucket") // it may be started again
	n.start("mlflow")
	n.healthy("mlflow", 4*time.Minute)
	n.start("page")
	n.healthy("page", 2*time.Minute)

	n.hold("scheduler")
	n.exec("scheduler", "salescast", "doctor")
	if out := n.exec("scheduler", "airflow", "providers", "list"); !strings.Contains(out, "salescast") {
		t.Errorf("the provider is not installed:\n%s", out)
	}
	n.exec("scheduler", "airflow", "db", "migrate")
	n.exec("scheduler", "airflow", "dags", "test", "sales_forecast_training", "--conf", `{"models": ["smoothing", "lightgbm"]}`)
	n.start("serve")
	n.healthy("serve", time.Minute)
	if out := n.exec("page", "python", "-c", "from client import Client; models, failures = Client.from_environment().models(); print(models[0].name, failures)"); !strings.Contains(out, "sales_forecast_ensemble") {
		t.Errorf("the page finds %s", out)
	}
}

// merged is the compose file over a base like Astro's, with the contexts of builds in the tree itself.
func merged(t *testing.T) *types.Project {
	t.Helper()
	shown := project(t, secrets)
	p, err := astroProject(t, 3, shown, nil)
	must(t, err)
	tree, err := filepath.Abs(root)
	must(t, err)
	p.WorkingDir = tree
	for name, s := range p.Services {
		if s.Build != nil {
			s.Build.Context = tree + strings.TrimPrefix(s.Build.Context, shown)
			p.Services[name] = s
		}
	}
	return p
}

// newBuilder prepares the stand-ins of base images.
func newBuilder(t *testing.T) *builder {
	t.Helper()
	scratch := os.Getenv("SALESCAST_IMAGES_SCRATCH")
	// It must be new. Whoever made the namespaces removes it after them: below its mounts are folders of this machine.
	must(t, os.Mkdir(scratch, 0o755))
	b := &builder{scratch: scratch, bases: map[string]*image{}, env: []string{"DEBIAN_FRONTEND=noninteractive"}}
	b.binds = [][2]string{{"/etc/resolv.conf", "/etc/resolv.conf"}, {"/etc/ssl/certs/ca-certificates.crt", "/run/certificates.crt"}}
	for _, name := range []string{"SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"} {
		b.env = append(b.env, name+"=/run/certificates.crt")
	}
	for _, e := range os.Environ() {
		name, _, _ := strings.Cut(strings.ToLower(e), "=")
		if slices.Contains([]string{"http_proxy", "https_proxy", "no_proxy", "pip_index_url", "pip_default_timeout", "goproxy", "gosumdb", "goflags"}, name) {
			b.env = append(b.env, e)
		}
	}

	debian := &image{name: "debian", layers: []string{os.Getenv("SALESCAST_IMAGES_DEBIAN")}}
	b.bases["debian:bookworm-slim"] = debian

	python := b.derive(t, debian, "stand-in for python")
	b.run(t, python, "apt-get", "update", "-qq")
	b.run(t, python, "apt-get", "install", "--yes", "-qq", "--no-install-recommends", "python3", "python3-pip", "python3-venv")
	b.run(t, python, "/bin/sh", "-c", "rm /usr/lib/python3*/EXTERNALLY-MANAGED && ln -s python3 /usr/bin/python")
	b.bases["python:3.11-slim-bookworm"] = python

	runtime := b.derive(t, python, "stand-in for Astronomer's runtime")
	b.run(t, runtime, "useradd", "--uid", "50000", "--gid", "0", "--create-home", "astro")
	b.run(t, runtime, "pip", "install", "--quiet", "apache-airflow=="+os.Getenv("SALESCAST_IMAGES_AIRFLOW"))
	must(t, os.MkdirAll(filepath.Join(runtime.root, "usr/local/airflow"), 0o755))
	must(t, os.Lchown(filepath.Join(runtime.root, "usr/local/airflow"), 50000, 0))
	runtime.user, runtime.dir, runtime.env["AIRFLOW_HOME"] = "astro", "/usr/local/airflow", "/usr/local/airflow"
	b.bases["astrocrpublic.azurecr.io/runtime:"+runtimeTag(t)] = runtime

	goEnv := func(name string) string {
		out, err := exec.CommandContext(t.Context(), "go", "env", name).Output()
		must(t, err)
		return strings.TrimSpace(string(out))
	}
	golang := b.derive(t, debian, "stand-in for golang")
	golang.dir, golang.env["GOPATH"], golang.env["GOTOOLCHAIN"] = "/go", "/go", "local"
	golang.env["PATH"] = "/go/bin:/usr/local/go/bin:" + golang.env["PATH"]
	golang.binds = [][2]string{{goEnv("GOROOT"), "/usr/local/go"}, {goEnv("GOMODCACHE"), "/go/pkg/mod"}, {goEnv("GOCACHE"), "/root/.cache/go-build"}}
	b.bases["golang:1.26-bookworm"] = golang
	return b
}

// runtimeTag is the tag that the Dockerfile names.
func runtimeTag(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(root + "/Dockerfile")
	must(t, err)
	_, tag := imageOfBuild(t, text)
	return tag
}

// newHub makes a network of its own with a bridge in it, and returns the process that holds it.
func newHub(t *testing.T) *exec.Cmd {
	t.Helper()
	hub := exec.CommandContext(t.Context(), "sleep", "infinity")
	hub.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	must(t, hub.Start())
	t.Cleanup(func() { _ = hub.Process.Kill(); _ = hub.Wait() })
	for _, args := range []string{"link add br0 type bridge", "address add 10.98.0.1/24 dev br0", "link set br0 up"} {
		ip(t, hub, args)
	}
	return hub
}

// ip runs ip(8) in the network of a process.
func ip(t *testing.T, of *exec.Cmd, args string) {
	t.Helper()
	line := append([]string{"--net=/proc/" + strconv.Itoa(of.Process.Pid) + "/ns/net", "ip"}, strings.Fields(args)...)
	if out, err := exec.CommandContext(t.Context(), "nsenter", line...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v\n%s", args, err, out)
	}
}

// network runs services of the compose file, each in a network namespace with an address that the others know by its name.
type network struct {
	t        *testing.T
	hub      *exec.Cmd
	services types.Services
	images   map[string]*image
	running  map[string]*exec.Cmd
	plugs    int
}

// names are the services with an address: the last number of it is the index here, plus ten.
var names = []string{"minio", "mlflow", "page", "serve", "scheduler", "minio-bucket"}

// launch starts a process of a service, connects it, and lets it go.
func (n *network) launch(name string, args []string) *exec.Cmd {
	t := n.t
	t.Helper()
	s, i := n.services[name], n.images[name]
	if len(args) == 0 {
		if args = i.cmd; len(s.Command) > 0 {
			args = s.Command
		}
	}
	var hosts strings.Builder
	hosts.WriteString("127.0.0.1 localhost\n")
	for k, other := range names {
		fmt.Fprintf(&hosts, "10.98.0.%d %s\n", 10+k, other)
	}
	must(t, os.WriteFile(filepath.Join(i.root, "etc/hosts"), []byte(hosts.String()), 0o644))
	cmd := i.command(context.Background(), t, append([]string{"/bin/sh", "-c", `read -r _ && exec "$@"`, "sh"}, args...), n.environ(name))
	cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWNET
	log, err := os.CreateTemp(t.TempDir(), name)
	must(t, err)
	cmd.Stdout, cmd.Stderr = log, log
	gate, err := cmd.StdinPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		if text, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("the end of the log of %s:\n%s", name, text[max(0, len(text)-2000):])
		}
	})
	n.plugs++
	plug := fmt.Sprintf("v%d", n.plugs)
	ip(t, n.hub, fmt.Sprintf("link add %s type veth peer name eth0 netns %d", plug, cmd.Process.Pid))
	ip(t, n.hub, "link set "+plug+" master br0 up")
	ip(t, cmd, "link set lo up")
	ip(t, cmd, fmt.Sprintf("address add 10.98.0.%d/24 dev eth0", 10+slices.Index(names, name)))
	ip(t, cmd, "link set eth0 up")
	_, err = gate.Write([]byte("go\n"))
	must(t, err)
	must(t, gate.Close())
	return cmd
}

func (n *network) environ(name string) []string {
	var env []string
	for key, value := range n.services[name].Environment {
		if value != nil {
			env = append(env, key+"="+*value)
		}
	}
	return env
}

func (n *network) start(name string) { n.running[name] = n.launch(name, nil) }

// hold keeps the network of a service for exec, without its own command, which is Astro's.
func (n *network) hold(name string) { n.running[name] = n.launch(name, []string{"sleep", "infinity"}) }

// once runs a service that ends by itself, and well.
func (n *network) once(name string) {
	n.t.Helper()
	if err := n.launch(name, nil).Wait(); err != nil {
		n.t.Fatalf("%s: %v", name, err)
	}
}

// inside is a process beside a service's, as "docker exec" starts it.
func (n *network) inside(name string, args ...string) *exec.Cmd {
	i := n.images[name]
	uid, gid, home := i.account(n.t)
	dir := i.dir
	if dir == "" {
		dir = "/"
	}
	line := []string{"--net=/proc/" + strconv.Itoa(n.running[name].Process.Pid) + "/ns/net", "--", "chroot", fmt.Sprintf("--userspec=%d:%d", uid, gid), i.root, "/usr/bin/env", "-C", dir, "--"}
	cmd := exec.CommandContext(n.t.Context(), "nsenter", append(line, args...)...)
	cmd.Env = i.environ(home, n.environ(name)...)
	return cmd
}

func (n *network) exec(name string, args ...string) string {
	n.t.Helper()
	out, err := n.inside(name, args...).CombinedOutput()
	if err != nil {
		n.t.Fatalf("in %s: %v: %v\n%s", name, args, err, out[max(0, len(out)-6000):])
	}
	return string(out)
}

// healthy waits until the service's health check succeeds.
func (n *network) healthy(name string, limit time.Duration) {
	n.t.Helper()
	check := n.services[name].HealthCheck.Test
	if check[0] != "CMD" {
		n.t.Fatalf("%s: a health check of the form %s", name, check[0])
	}
	for deadline := time.Now().Add(limit); ; time.Sleep(500 * time.Millisecond) {
		out, err := n.inside(name, check[1:]...).CombinedOutput()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			n.t.Fatalf("%s is not healthy within %v: %v: %s", name, limit, err, out)
		}
	}
}
