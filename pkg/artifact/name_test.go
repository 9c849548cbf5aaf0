package artifact_test

import (
	"strings"
	"testing"

	"salescast/pkg/artifact"
)

func TestParseLocation(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]artifact.Location{
		"runs/x":               {Scheme: "file", Path: "runs/x"},
		"./runs//x/":           {Scheme: "file", Path: "runs/x"},
		"/tmp/a b":             {Scheme: "file", Path: "/tmp/a b"},
		"file:///tmp/a%20b":    {Scheme: "file", Path: "/tmp/a b"},
		"s3://bucket":          {Scheme: "s3", Bucket: "bucket"},
		"s3://bucket/runs/1/":  {Scheme: "s3", Bucket: "bucket", Path: "runs/1"},
		"S3://bucket/runs%2B1": {Scheme: "s3", Bucket: "bucket", Path: "runs+1"},
	} {
		got, err := artifact.ParseLocation(in)
		if err != nil || got != want {
			t.Errorf("ParseLocation(%q) = %+v, %v, want %+v", in, got, err, want)
		}
		if again, err := artifact.ParseLocation(got.String()); in != "S3://bucket/runs%2B1" && (err != nil || again != got) {
			t.Errorf("ParseLocation(%q) = %+v, %v, want the round trip %+v", got.String(), again, err, got)
		}
	}
	for _, in := range []string{"", "s3://", "s3:///x", "gs://b/x", "s3://b/../x", "file://host/x", "s3://b:9000/x", "s3://b/x?y=1", "s3://b/x#f"} {
		if got, err := artifact.ParseLocation(in); err == nil {
			t.Errorf("ParseLocation(%q) = %+v, want an error", in, got)
		}
	}
}

func TestParseLocationKeepsSecretsOut(t *testing.T) {
	t.Parallel()
	for _, in := range []string{"s3://key:hunter2@bucket/x", "s3://key:hunter2@buc ket/x", "s3://b/x?secret=hunter2"} {
		_, err := artifact.ParseLocation(in)
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("ParseLocation(%q): error %v, want one without the secret", in, err)
		}
	}
}

func TestJoin(t *testing.T) {
	t.Parallel()
	for base, want := range map[string]string{"s3://b": "s3://b/a/b", "s3://b/p": "s3://b/p/a/b", "runs": "runs/a/b"} {
		l, err := artifact.ParseLocation(base)
		if err != nil {
			t.Fatal(err)
		}
		if got := l.Join("a/b").String(); got != want {
			t.Errorf("%s joined = %s, want %s", base, got, want)
		}
	}
}
