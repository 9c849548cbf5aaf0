package mlflow

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"salescast/pkg/artifact"
	"salescast/pkg/internal/outage"
)

// Config says where the server is and who we are there. The environment variables of MLflow's own client are named beside the fields.
type Config struct {
	// URI is the address of the server, with any path it is mounted under (MLFLOW_TRACKING_URI).
	URI string
	// Username and Password are sent as Basic (MLFLOW_TRACKING_USERNAME, _PASSWORD); they go before Token (MLFLOW_TRACKING_TOKEN).
	Username, Password, Token string
	// InsecureTLS trusts any certificate (MLFLOW_TRACKING_INSECURE_TLS); CACert is a PEM file of authorities to trust
	// (MLFLOW_TRACKING_SERVER_CERT_PATH); ClientCert a PEM file with our certificate and key (MLFLOW_TRACKING_CLIENT_CERT_PATH).
	InsecureTLS        bool
	CACert, ClientCert string
	// Patience is how long calls go on trying, all together, while the server is away or slow: 4 minutes where 0.
	Patience time.Duration
	// Confirm is how long to look for what a call may have made whose answer was lost: 30 s where 0, longer than a server waits for
	// its database.
	Confirm time.Duration
	// Artifacts opens the object storage to which runs write directly; nil where all artifacts go through the server.
	Artifacts func(ctx context.Context, at artifact.Location) (artifact.Store, error)
	// Now decides when buffered metrics are due, so that curves grow while a step is at work; nil waits for full batches.
	Now func() time.Time
	// Transport replaces the network, for tests of faults; nil is the real one.
	Transport http.RoundTripper
}

func (c Config) client() (*client, error) {
	u, err := url.Parse(c.URI)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("the address of the MLflow server is not a URL as http://host:5000: set MLFLOW_TRACKING_URI")
	}
	if u.User != nil {
		return nil, errors.New("the address of the MLflow server has credentials in it: use MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD")
	}
	u.RawQuery, u.Fragment = "", ""
	transport := c.Transport
	if transport == nil {
		if transport, err = c.transport(); err != nil {
			return nil, err
		}
	}
	out := &client{
		http: &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		base: u, outage: outage.Outage{Patience: c.Patience}, confirm: c.Confirm,
	}
	switch {
	case c.Username != "":
		out.auth = "Basic " + base64.StdEncoding.EncodeToString([]byte(c.Username+":"+c.Password))
	case c.Token != "":
		out.auth = "Bearer " + c.Token
	}
	if out.outage.Patience == 0 {
		out.outage.Patience = 4 * time.Minute
	}
	if out.confirm == 0 {
		out.confirm = 30 * time.Second
	}
	return out, nil
}

func (c Config) transport() (http.RoundTripper, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: c.InsecureTLS} //nolint:gosec // asked for by name
	if c.CACert != "" {
		if c.InsecureTLS {
			return nil, errors.New("MLFLOW_TRACKING_INSECURE_TLS and MLFLOW_TRACKING_SERVER_CERT_PATH exclude each other: unset one")
		}
		pem, err := os.ReadFile(c.CACert)
		if err != nil {
			return nil, fmt.Errorf("read the certificates to trust (MLFLOW_TRACKING_SERVER_CERT_PATH): %w", err)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s (MLFLOW_TRACKING_SERVER_CERT_PATH) has no certificate in PEM form", c.CACert)
		}
	}
	if c.ClientCert != "" {
		pair, err := tls.LoadX509KeyPair(c.ClientCert, c.ClientCert)
		if err != nil {
			return nil, fmt.Errorf("read our certificate (MLFLOW_TRACKING_CLIENT_CERT_PATH): %w", err)
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		MaxIdleConnsPerHost: 4,
		IdleConnTimeout:     time.Minute,
		TLSHandshakeTimeout: 10 * time.Second,
		TLSClientConfig:     conf,
	}, nil
}
