package s3

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"salescast/pkg/artifact"
	"salescast/pkg/internal/outage"
)

// Config says where the storage is and who we are there.
type Config struct {
	// Endpoint is the URL of the server, such as http://127.0.0.1:9000; empty is AWS. A custom endpoint is addressed path-style.
	Endpoint string
	// Region is us-east-1 where empty.
	Region string
	// AccessKey and SecretKey are the credentials; where AccessKey is empty they are read from CredentialsFile.
	AccessKey, SecretKey, SessionToken string
	// CredentialsFile is a shared credentials file, as ~/.aws/credentials; Profile is the section of it, "default" where empty.
	CredentialsFile, Profile string
	// CABundle is the path of a PEM file with the certificates to trust instead of the system's.
	CABundle string
	// PartSize bounds one request and the memory of one write: 16 MiB where 0. An object has at most 10,000 parts.
	PartSize int
	// Patience is how long calls go on trying, all together, while the server is away or slow: 1 minute where 0.
	Patience time.Duration
	// Transport replaces the network, for tests of faults; nil is the real one.
	Transport http.RoundTripper
}

const (
	defaultPartSize = 16 << 20
	minPartSize     = 5 << 20
	maxParts        = 10_000
	defaultPatience = time.Minute
)

// New returns the store at a bucket and a key prefix. It does not call the server.
func New(c Config, at artifact.Location) (*Store, error) {
	if at.Scheme != artifact.SchemeS3 || at.Bucket == "" {
		return nil, fmt.Errorf("open %s: want s3://bucket/prefix", at)
	}
	s, err := c.open(at)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", at, err)
	}
	return s, nil
}

func (c Config) open(at artifact.Location) (*Store, error) {
	endpoint, secure, err := c.endpoint()
	if err != nil {
		return nil, err
	}
	creds, err := c.credentials()
	if err != nil {
		return nil, err
	}
	transport := c.Transport
	if transport == nil {
		if transport, err = c.transport(); err != nil {
			return nil, err
		}
	}
	region := c.Region
	if region == "" {
		region = "us-east-1"
	}
	lookup := minio.BucketLookupAuto
	if c.Endpoint != "" {
		lookup = minio.BucketLookupPath
	}
	client, err := minio.NewCore(endpoint, &minio.Options{
		Creds: creds, Secure: secure, Transport: transport, Region: region, BucketLookup: lookup, MaxRetries: 1,
	})
	if err != nil {
		return nil, err
	}
	s := &Store{client: client, at: at, endpoint: endpoint, partSize: c.PartSize, outage: outage.Outage{Patience: c.Patience}}
	if s.partSize == 0 {
		s.partSize = defaultPartSize
	}
	if s.partSize < minPartSize {
		return nil, fmt.Errorf("parts of %d bytes: S3 wants at least %d", s.partSize, minPartSize)
	}
	if c.Patience == 0 {
		s.outage.Patience = defaultPatience
	}
	return s, nil
}

func (c Config) endpoint() (host string, secure bool, err error) {
	if c.Endpoint == "" {
		return "s3.amazonaws.com", true, nil
	}
	u, err := url.Parse(c.Endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return "", false, errors.New("the endpoint of the storage is not a URL as http://host:9000: set AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL")
	}
	return u.Host, u.Scheme == "https", nil
}

func (c Config) credentials() (*credentials.Credentials, error) {
	const cure = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile in the shared credentials file"
	if c.AccessKey != "" {
		if c.SecretKey == "" {
			return nil, fmt.Errorf("%w: there is an access key without its secret: %s", fs.ErrPermission, cure)
		}
		return credentials.NewStaticV4(c.AccessKey, c.SecretKey, c.SessionToken), nil
	}
	if c.CredentialsFile == "" {
		return nil, fmt.Errorf("%w: there are no credentials: %s", fs.ErrPermission, cure)
	}
	profile := c.Profile
	if profile == "" {
		profile = "default"
	}
	creds := credentials.NewFileAWSCredentials(c.CredentialsFile, profile)
	v, err := creds.GetWithContext(nil)
	if err != nil || v.AccessKeyID == "" {
		return nil, fmt.Errorf("%w: no credentials in profile %q of %s: %s", fs.ErrPermission, profile, c.CredentialsFile, cure)
	}
	return creds, nil
}

func (c Config) transport() (http.RoundTripper, error) {
	t := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		MaxIdleConnsPerHost:   16,
		IdleConnTimeout:       time.Minute,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: 5 * time.Second,
		ResponseHeaderTimeout: time.Minute,
		DisableCompression:    true, // an object that is gzip itself must arrive as it is
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
	}
	if c.CABundle != "" {
		pem, err := os.ReadFile(c.CABundle)
		if err != nil {
			return nil, fmt.Errorf("read the certificates to trust (AWS_CA_BUNDLE): %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s (AWS_CA_BUNDLE) has no certificate in PEM form", c.CABundle)
		}
		t.TLSClientConfig.RootCAs = pool
	}
	return t, nil
}
