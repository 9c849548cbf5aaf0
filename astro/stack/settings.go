package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"
)

// The variables are those of docker-compose.override.yml and .env.example.
var (
	ports = []struct{ name, port string }{
		{"AIRFLOW_PORT", "8080"}, {"MINIO_PORT", "9000"}, {"MINIO_CONSOLE_PORT", "9001"}, {"MLFLOW_PORT", "5001"}, {"SERVE_PORT", "8000"}, {"PAGE_PORT", "8501"},
	}
	secrets = []string{"MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD", "SALESCAST_SERVE_TOKEN", "AIRFLOW_ADMIN_PASSWORD", "AIRFLOW_JWT_SECRET", "AIRFLOW_FERNET_KEY"}
)

// maxEnv bounds a file of variables.
const maxEnv = 1 << 20

// settings are variables by name: of the environment, else of the .env file, else of what was generated.
type settings struct {
	values      map[string]string
	file        map[string]string // what the .env file says, for Airflow, as Astro passes it on
	inherited   []string          // the environment of every service
	credentials string            // the file of what was generated
}

// Variables of these are the services' own business here: those of the caller would lead them elsewhere.
var private = []string{"AIRFLOW", "_AIRFLOW", "AWS_", "MINIO_", "MLFLOW_", "SALESCAST_", "PYTHONPATH=", "PYTHONHOME=", "VIRTUAL_ENV="}

func readSettings(environ []string, envFile, credentials string) (*settings, error) {
	s := &settings{values: map[string]string{}, credentials: credentials}
	var err error
	if s.file, err = readEnv(envFile); err != nil {
		return nil, err
	}
	generated, err := readEnv(credentials)
	if err != nil {
		return nil, err
	}
	set := func(from map[string]string) {
		for name, value := range from {
			if value != "" {
				s.values[name] = value
			}
		}
	}
	set(generated)
	set(s.file)
	for _, e := range environ {
		name, value, _ := strings.Cut(e, "=")
		set(map[string]string{name: value})
		if !slices.ContainsFunc(private, func(p string) bool { return strings.HasPrefix(e, p) && !isCABundle(name) }) {
			s.inherited = append(s.inherited, e)
		}
	}
	return s, s.generate(generated)
}

// isCABundle says whether a variable tells where the certificates of this machine are, which a private network may need.
func isCABundle(name string) bool { return name == "AWS_CA_BUNDLE" }

// readEnv reads lines NAME=VALUE, the value perhaps in quotes; a missing file has none.
func readEnv(path string) (map[string]string, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return map[string]string{}, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > maxEnv {
		return nil, fmt.Errorf("%s has %d bytes, more than a file of variables", path, info.Size())
	}
	b := make([]byte, info.Size())
	if _, err := f.Read(b); err != nil && len(b) > 0 {
		return nil, err
	}
	found := map[string]string{}
	n := 0
	for line := range strings.Lines(string(b)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(strings.TrimPrefix(line, "export "), "=")
		if !ok {
			return nil, fmt.Errorf("%s:%d: %q is not NAME=VALUE", path, n, line)
		}
		value = strings.TrimSpace(value)
		if q := len(value) - 1; q > 0 && value[0] == value[q] && (value[0] == '"' || value[0] == '\'') {
			value = value[1:q]
		}
		found[strings.TrimSpace(name)] = value
	}
	return found, nil
}

// generate makes up every credential that nobody gave, once, and keeps it in a file that only its owner reads.
func (s *settings) generate(kept map[string]string) error {
	for _, name := range secrets {
		if s.values[name] != "" {
			continue
		}
		b := make([]byte, 32)
		if _, err := rand.Read(b); err != nil {
			return err
		}
		s.values[name] = hex.EncodeToString(b[:20])
		switch name {
		case "AIRFLOW_JWT_SECRET":
			s.values[name] = hex.EncodeToString(b)
		case "AIRFLOW_FERNET_KEY":
			s.values[name] = base64.URLEncoding.EncodeToString(b)
		}
		kept[name] = s.values[name]
	}
	var text strings.Builder
	text.WriteString("# Made up by make stack, for this machine alone. What the environment or .env says is used instead.\n")
	for _, name := range secrets {
		if kept[name] != "" {
			fmt.Fprintf(&text, "%s=%s\n", name, kept[name])
		}
	}
	return os.WriteFile(s.credentials, []byte(text.String()), 0o600)
}

// choosePorts checks that every port is free, and takes another where it may.
func (s *settings) choosePorts(ctx context.Context, free bool) error {
	var taken []string
	var chosen []net.Listener // held until all are chosen, so that they differ
	defer func() {
		for _, l := range chosen {
			_ = l.Close()
		}
	}()
	for _, p := range ports {
		port := s.values[p.name]
		if port == "" {
			port = p.port
		}
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:"+port)
		if err != nil && free {
			l, err = (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
		}
		if err != nil {
			taken = append(taken, p.name+"="+port)
			continue
		}
		chosen = append(chosen, l)
		_, s.values[p.name], _ = net.SplitHostPort(l.Addr().String())
	}
	if len(taken) > 0 {
		return fmt.Errorf("ports that cannot be had on 127.0.0.1: %s; set others in .env or in the environment, or let free ones be found: make stack FREE_PORTS=1", strings.Join(taken, ", "))
	}
	return nil
}

// url is the address of what listens on the port of that name.
func (s *settings) url(port string) string { return "http://127.0.0.1:" + s.values[port] }
