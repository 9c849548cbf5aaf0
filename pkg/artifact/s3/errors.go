package s3

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"salescast/pkg/artifact"
)

// lastTry bounds an attempt on a store that has not answered for all our patience.
const lastTry = 10 * time.Second

// errPrecondition is an If-Match or If-None-Match that did not hold.
var errPrecondition = errors.New("the precondition failed")

// try calls f until it succeeds, fails for good, or patience ends. It says whether f was called more than once, so that an earlier
// call may have succeeded without our hearing of it. Patience is that of all calls together, from the first that had no answer. limit bounds one call.
func (s *Store) try(ctx context.Context, limit time.Duration, f func(context.Context) error) (again bool, err error) {
	began := time.Now() //nolint:forbidigo // measures waiting, is never recorded
	for pause := 200 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		if err := ctx.Err(); err != nil {
			return again, err
		}
		if s.outage.Over(time.Now()) { //nolint:forbidigo // as above
			limit = min(limit, lastTry)
		}
		attempt, cancel := context.WithTimeout(ctx, limit)
		err := f(attempt)
		cancel()
		if err == nil {
			s.outage.Passed()
			return again, nil
		}
		if ctx.Err() != nil {
			return again, ctx.Err()
		}
		retry, known := s.classify(err)
		if !retry {
			s.outage.Passed()
			return again, known
		}
		deadline := s.outage.Failed(began, time.Now()) //nolint:forbidigo // as above
		pause := pause/2 + rand.N(pause)
		if time.Until(deadline) < pause {
			return again, known
		}
		again = true
		select {
		case <-ctx.Done():
			return again, ctx.Err()
		case <-time.After(pause):
		}
	}
}

// classify gives an error its place in the contract, and says whether the same call may succeed in a moment.
func (s *Store) classify(err error) (retry bool, known error) {
	var r minio.ErrorResponse
	if !errors.As(err, &r) {
		return s.classifyNetwork(err)
	}
	switch {
	case r.Code == "NoSuchBucket":
		return false, fmt.Errorf("%w: there is no bucket %q at %s: make it, or correct the address (%s)", fs.ErrNotExist, s.at.Bucket, s.endpoint, r.Code)
	case r.StatusCode == http.StatusNotFound:
		return false, fmt.Errorf("%w (%s)", fs.ErrNotExist, r.Code)
	case r.StatusCode == http.StatusPreconditionFailed:
		return false, errPrecondition
	case r.Code == "RequestTimeTooSkewed":
		return false, fmt.Errorf("%w: the clocks of this machine and of %s differ too much: set them (%s)", fs.ErrPermission, s.endpoint, r.Code)
	case r.StatusCode == http.StatusForbidden || r.StatusCode == http.StatusUnauthorized || r.Code == "ExpiredToken" || r.Code == "InvalidTokenId" || r.Code == "InvalidToken":
		return false, fmt.Errorf("%w: %s refuses our credentials or they do not allow this: check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and the policy of bucket %q (%s: %s)",
			fs.ErrPermission, s.endpoint, s.at.Bucket, r.Code, r.Message)
	case r.StatusCode == http.StatusInsufficientStorage || strings.Contains(r.Code, "StorageFull") || strings.Contains(r.Code, "QuotaExceeded"):
		return false, fmt.Errorf("%w: %s is full: free some space there and try again (%s)", artifact.ErrFull, s.endpoint, r.Code)
	case transient(r.StatusCode) || r.Code == "SlowDown" || r.Code == "RequestTimeout" || r.Code == "ConditionalRequestConflict" || r.Code == "OperationAborted":
		return true, fmt.Errorf("%w: %s answers %d (%s: %s)", artifact.ErrUnavailable, s.endpoint, r.StatusCode, r.Code, r.Message)
	case damagedOnTheWay(r.Code):
		return true, fmt.Errorf("%w: what arrives at %s is not what was sent: look at what stands between (%s: %s)", artifact.ErrUnavailable, s.endpoint, r.Code, r.Message)
	}
	return false, err
}

// damagedOnTheWay says that a body was cut or changed by what stands between.
func damagedOnTheWay(code string) bool {
	switch strings.ToLower(code) {
	case "baddigest", "incompletebody", "xamzcontentsha256mismatch", "xamzcontentchecksummismatch":
		return true
	}
	return false
}

func transient(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, 499, http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout, 520:
		return true
	}
	return false
}

func (s *Store) classifyNetwork(err error) (retry bool, known error) {
	var (
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
		record    tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &authority), errors.As(err, &host), errors.As(err, &invalid):
		return false, fmt.Errorf("%w: the certificate of %s is not trusted: name its authority in AWS_CA_BUNDLE: %w", artifact.ErrMisconfigured, s.endpoint, err)
	case errors.As(err, &record), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return false, fmt.Errorf("%w: %s does not speak TLS: write http:// in AWS_ENDPOINT_URL: %w", artifact.ErrMisconfigured, s.endpoint, err)
	}
	return true, fmt.Errorf("%w: %s cannot be reached: check that it runs and AWS_ENDPOINT_URL: %w", artifact.ErrUnavailable, s.endpoint, err)
}
