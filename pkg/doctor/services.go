package doctor

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"salescast/pkg/artifact"
	"salescast/pkg/track"
)

// Store checks that a store takes, gives back and removes an object, and that it refuses to create one twice, which is what keeps two
// runs from overwriting each other. open gives the store, or why there is none.
func Store(open func() (artifact.Store, error)) Check {
	return Check{Name: "workspace", Run: func(ctx context.Context) Finding {
		s, err := open()
		if err == nil {
			err = exercise(ctx, s)
		}
		if err != nil {
			return Finding{Status: Failed, Message: err.Error(), Hint: storeCure(err), Err: err}
		}
		return Finding{Status: OK, Message: s.URL("") + " can be written, read and emptied, and creates a name once"}
	}}
}

var errTwice = errors.New("the store creates the same name twice: it ignores If-None-Match")

func exercise(ctx context.Context, s artifact.Store) (err error) {
	name := ".salescast/doctor-" + rand.Text()
	text := []byte("written by salescast doctor; may be deleted\n")
	if _, err := s.Create(ctx, name, bytes.NewReader(text)); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Delete(context.WithoutCancel(ctx), name)) }()
	if _, err := s.Create(ctx, name, bytes.NewReader(text)); !errors.Is(err, fs.ErrExist) {
		if err == nil {
			err = errTwice
		}
		return err
	}
	r, _, err := s.Get(ctx, name)
	if err != nil {
		return err
	}
	got, err := io.ReadAll(io.LimitReader(r, 1<<10))
	if err = errors.Join(err, r.Close()); err == nil && !bytes.Equal(got, text) {
		err = fmt.Errorf("%s came back with %d bytes, %d were written", s.URL(name), len(got), len(text))
	}
	return err
}

// isTLS says that a certificate was not accepted, or that the other side does not speak TLS.
func isTLS(err error) bool {
	_, authority := errors.AsType[x509.UnknownAuthorityError](err)
	_, host := errors.AsType[x509.HostnameError](err)
	_, invalid := errors.AsType[x509.CertificateInvalidError](err)
	return authority || host || invalid || strings.Contains(err.Error(), "TLS")
}

func storeCure(err error) string {
	switch {
	case isTLS(err):
		return "name the authority's certificate in AWS_CA_BUNDLE, or correct http:// and https:// in AWS_ENDPOINT_URL"
	case errors.Is(err, errTwice):
		return "use a release of the store that knows conditional writes"
	case errors.Is(err, fs.ErrPermission):
		return "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, to keys that may list, read, write and delete here"
	case errors.Is(err, fs.ErrNotExist):
		return "make the bucket, or correct its name in the workspace's address"
	case errors.Is(err, artifact.ErrFull):
		return "free space in the store, or add some"
	case errors.Is(err, artifact.ErrUnavailable):
		return "start the store, or correct AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL"
	default:
		return "correct the workspace's address: a folder or s3://bucket/prefix"
	}
}

// MLflow checks that a tracking server answers, knows us, and takes artifacts. ping does so and returns the server's version.
func MLflow(uri string, ping func(context.Context) (version string, err error)) Check {
	return Check{Name: "mlflow", Run: func(ctx context.Context) Finding {
		version, err := ping(ctx)
		if err != nil {
			return Finding{Status: Failed, Message: err.Error(), Hint: mlflowCure(err), Err: err}
		}
		return Finding{Status: OK, Message: fmt.Sprintf("MLflow %s at %s answers and takes artifacts", version, uri)}
	}}
}

func mlflowCure(err error) string {
	said := err.Error()
	switch {
	case isTLS(err):
		return "name the authority's certificate in MLFLOW_TRACKING_SERVER_CERT_PATH, or correct http:// and https:// in MLFLOW_TRACKING_URI"
	case strings.Contains(said, "MLFLOW_SERVER_ALLOWED_HOSTS"):
		return "start the server with the MLFLOW_SERVER_ALLOWED_HOSTS that the message names"
	case strings.Contains(said, "may read the experiment and not record"):
		return "give this user the permission EDIT on the experiment, or set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD of one who has it"
	case strings.Contains(said, "--serve-artifacts"):
		return "start the server with --serve-artifacts and --artifacts-destination, or keep artifacts at an s3:// address that this machine reaches"
	case errors.Is(err, fs.ErrPermission):
		return "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, of a user that may edit the experiment"
	case errors.Is(err, track.ErrUnavailable):
		return "start the server, or correct MLFLOW_TRACKING_URI; until then runs wait in the workspace for salescast sync"
	default:
		return "correct MLFLOW_TRACKING_URI: it is the address of an MLflow tracking server, such as http://127.0.0.1:5000"
	}
}
