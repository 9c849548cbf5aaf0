package redact

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// shapes are texts with a secret, which is always hunter2/S3cr3t+x, an AWS key or what is said.
var shapes = []struct{ text, secret string }{
	{"s3://KEYNAME:hunter2@bucket/sales.csv", "hunter2"},
	{"s3://KEYNAME:hunter2@bucket/sales.csv", "KEYNAME"},
	{"s3://KEYNAME:hun/ter2+x@bucket/sales.csv", "ter2"},
	{"open http://u:hunter2@host:8080/sales.csv: refused", "hunter2"},
	{"https://ghp_hunter2@github.com/x", "hunter2"},
	{"HTTPS://u:p@ss:hunter2@host/", "hunter2"},
	{`Get "http://u:hunter2@host/x": dial tcp`, "hunter2"},
	{"postgresql+psycopg2://me:hunter2@db/studies", "hunter2"},
	{"postgres://db/studies?user=me&password=hunter2&sslmode=require", "hunter2"},
	{"host=db user=me password=hunter2 dbname=x", "hunter2"},
	{"host=db password='hunter2 with space' dbname=x", "space"},
	{`password="hunter2 with space"`, "space"},
	{"PGPASSWORD=hunter2", "hunter2"},
	{"AWS_SECRET_ACCESS_KEY=abc/hunter2+x", "hunter2"},
	{"aws_secret_access_key = hunter2", "hunter2"},
	{"AKIAIOSFODNN7EXAMPLE is not allowed", "AKIAIOSFODNN7EXAMPLE"},
	{"key ASIAIOSFODNN7EXAMPLE.", "ASIAIOSFODNN7EXAMPLE"},
	{"Authorization: Bearer hunter2", "hunter2"},
	{"Authorization: Basic dTpodW50ZXIy", "dTpodW50ZXIy"},
	{"sent bearer abcdefghijklmnopqrstuvwxyz", "abcdefgh"},
	{"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJodW50ZXIyIn0.c2lnbmF0dXJl", "eyJzdWIi"},
	{"https://b.s3.amazonaws.com/k?X-Amz-Credential=hunter2%2F2024&X-Amz-Expires=60", "hunter2"},
	{"https://b.s3.amazonaws.com/k?X-Amz-Expires=60&X-Amz-Signature=hunter2", "hunter2"},
	{"https://b.s3.amazonaws.com/k?X-Amz-Security-Token=hunter2", "hunter2"},
	{"https://b.s3.amazonaws.com/k?AWSAccessKeyId=hunter2&Signature=x", "hunter2"},
	{"https://a.blob.core.windows.net/c?sv=2022&sig=hunter2", "hunter2"},
	{"https://h/x?access_token=hunter2", "hunter2"},
	{`{"password":"hunter2"}`, "hunter2"},
	{"api_key: hunter2", "hunter2"},
	{"-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY-----", "hunter2"},
}

// plain are texts that must stay as they are.
var plain = []string{
	"", "no credentials: set AWS_ACCESS_KEY_ID", "s3://bucket/a/b@2024.csv", "http://host:5000/x@y", "http://127.0.0.1:9000/bucket/key?list-type=2", "runs/today",
	"postgresql://me@db/studies", "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and the policy of bucket \"x\"",
	"set PGPASSWORD or a password file instead", "it asks for a bearer token", "models:/sales_forecast_ensemble@champion",
	"a basic configuration", "design=1 assign: 2", "store=north item=7", "/data/sales_2024-01-01.csv", "file:///a/b@c",
}

func TestNoShapeOfASecretPasses(t *testing.T) {
	t.Parallel()
	for _, s := range shapes {
		for _, around := range []string{"%", "read configuration: %: no", "(%)", "a\nb %\n", `said "%"`} {
			text := strings.ReplaceAll(around, "%", s.text)
			got := String(text)
			if strings.Contains(got, s.secret) || !Holds(text) {
				t.Errorf("String(%q) = %q, which holds %s", text, got, s.secret)
			}
			if again := String(got); again != got {
				t.Errorf("String is not idempotent: %q, then %q", got, again)
			}
			line, err := json.Marshal(map[string]any{"message": text, "n": 1, "z": []string{text}})
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			if n, err := Lines(&out).Write(line); err != nil || n != len(line) {
				t.Fatal(n, err)
			}
			if strings.Contains(out.String(), s.secret) || !json.Valid(out.Bytes()) {
				t.Errorf("Lines(%s) = %s", line, out.Bytes())
			}
		}
	}
}

func TestWhatIsNoSecretStays(t *testing.T) {
	t.Parallel()
	for _, s := range plain {
		if got := String(s); got != s {
			t.Errorf("String(%q) = %q", s, got)
		}
	}
}

func TestAValueUnderASecretNameGoesAsAWhole(t *testing.T) {
	t.Parallel()
	line := `{"level":"info","db_password":"plain words","tokens":"12","token":"","n":3}`
	if got, want := string(JSON([]byte(line))), `{"level":"info","db_password":"***","tokens":"12","token":"","n":3}`; got != want {
		t.Errorf("JSON = %s, want %s", got, want)
	}
	in := map[string]string{"storage.password": "plain words", "data.source": "s3://a:b@c/d", "seed": "42"}
	got := Map(in)
	if got["storage.password"] != Mark || got["data.source"] != "s3://***@c/d" || got["seed"] != "42" || in["storage.password"] != "plain words" {
		t.Errorf("Map = %v of %v", got, in)
	}
}

// Whatever the log holds, its lines stay JSON, and no text makes it fail.
func FuzzString(f *testing.F) {
	for _, s := range shapes {
		f.Add(s.text)
	}
	for _, s := range plain {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > 1<<12 {
			return
		}
		line, err := json.Marshal(map[string]string{"m": s})
		if err != nil {
			t.Fatal(err)
		}
		if got := JSON(line); !json.Valid(got) {
			t.Errorf("JSON(%s) = %s", line, got)
		}
		String(s)
	})
}
