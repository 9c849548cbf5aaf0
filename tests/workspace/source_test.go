package workspacetest

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"salescast/pkg/artifact"
	"salescast/pkg/regress/regresstest"
	"salescast/tests/servers"
)

// manifests reads those below a folder, by step.
func manifests(t *testing.T, root string) map[string]artifact.Manifest {
	t.Helper()
	out := map[string]artifact.Manifest{}
	must(t, filepath.WalkDir(root, func(p string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Base(p) != artifact.ManifestName {
			return err
		}
		f, err := os.Open(p)
		if err != nil {
			return err
		}
		defer f.Close()
		m, err := artifact.ReadManifest(f)
		out[m.Step] = m
		return err
	}))
	return out
}

// anywhere is a manifest without what may differ between two runs of the same thing: attempt, run and times.
func anywhere(t *testing.T, m artifact.Manifest) string {
	t.Helper()
	for i := range m.Files {
		m.Files[i].Object = strings.Replace(m.Files[i].Object, m.Attempt, "ATTEMPT", 1)
	}
	m.Attempt, m.RunID, m.Started, m.Finished = "", "", time.Time{}, time.Time{}
	b, err := json.MarshalIndent(m, "", " ")
	must(t, err)
	return string(b)
}

func panelOf(t *testing.T, root string) string {
	t.Helper()
	for _, f := range manifests(t, root)["validate"].Files {
		if f.Name == "panel.parquet" {
			return f.SHA256
		}
	}
	t.Fatalf("%s has no panel", root)
	return ""
}

// A whole run in object storage makes the manifests that it makes in a folder; its source may be an object, a prefix or a glob there.
func TestSource(t *testing.T) {
	t.Parallel()
	server := servers.MinIO(t)
	client, err := minio.New(strings.TrimPrefix(server.URL, "http://"), &minio.Options{Creds: credentials.NewStaticV4(servers.AccessKey, servers.SecretKey, "")})
	must(t, err, client.MakeBucket(t.Context(), "sales", minio.MakeBucketOptions{}))
	c := command{build(t), []string{
		"SALESCAST_ENGINE_DIR=" + regresstest.EngineDir(t),
		"HOME=" + t.TempDir(), "SALESCAST_STATE_DIR=" + t.TempDir(), "AWS_ENDPOINT_URL=" + server.URL,
		"AWS_ACCESS_KEY_ID=" + servers.AccessKey, "AWS_SECRET_ACCESS_KEY=" + servers.SecretKey,
	}}
	upload := func(file, key string) {
		t.Helper()
		_, err := client.FPutObject(t.Context(), "sales", key, file, minio.PutObjectOptions{})
		must(t, err)
	}

	folder := t.TempDir()
	const remote = "s3://sales/runs/whole"
	for _, w := range []string{folder, remote} {
		c.want(t, 0, "generate", "--stores", "2", "--items", "2", "--start", "2023-01-01", "--end", "2024-06-30", "-w", w)
		c.want(t, 0, "run", "--models", "xgboost", "--horizon", "7", "-w", w)
	}
	here := manifests(t, folder)
	if len(here) != 7 {
		t.Errorf("the run made %d steps, want 7", len(here))
	}
	for step, m := range here {
		o, err := client.GetObject(t.Context(), "sales", "runs/whole/"+step+"/"+artifact.ManifestName, minio.GetObjectOptions{})
		must(t, err)
		there, err := artifact.ReadManifest(o)
		must(t, err, o.Close())
		if a, b := anywhere(t, m), anywhere(t, there); a != b {
			t.Errorf("%s differs: in a folder\n%s\nin object storage\n%s", step, a, b)
		}
	}

	// Partitioned Parquet, as prefix and as glob, and text that is gzip, as one object.
	sales := filepath.Join(folder, "data", "sales")
	must(t, filepath.WalkDir(sales, func(p string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(p, ".parquet") && !d.IsDir() {
			rel, rerr := filepath.Rel(sales, p)
			must(t, rerr)
			upload(p, "raw/sales/"+filepath.ToSlash(rel))
		}
		return err
	}))
	bakery, err := filepath.Abs("../../examples/bakery")
	must(t, err)
	upload(filepath.Join(bakery, "bakery_daily.csv.gz"), "raw/bakery_daily.csv.gz")
	generated := []string{
		"--set", "data.keys=[store_id,product_id]", "--set", "data.time=date", "--set", "data.target=quantity_sold", "--set", "data.static=[category]",
		"--set", "data.ignore=[revenue,cost,profit,unit_price,discount_percent,promo,closed,renovation]", "--set", "data.stockout=sold_out",
	}
	validate := func(source string, settings ...string) string {
		t.Helper()
		w := t.TempDir()
		c.want(t, 0, append([]string{"validate", "-w", w, "--set", "data.source=" + source}, settings...)...)
		return panelOf(t, w)
	}
	want := validate(sales, generated...)
	for _, source := range []string{"s3://sales/raw/sales", "s3://sales/raw/sales/", "s3://sales/raw/sales/year=202?/month=*/*.parquet"} {
		if got := validate(source, generated...); got != want {
			t.Errorf("the panel of %s is %s, that of the same files in a folder %s", source, got, want)
		}
	}
	if a, b := validate("s3://sales/raw/bakery_daily.csv.gz", "-c", bakery), validate(filepath.Join(bakery, "bakery_daily.csv.gz"), "-c", bakery); a != b {
		t.Errorf("the panel of an object is %s, that of the same file %s", a, b)
	}

	// An object that no configuration describes is looked at, and no more than that.
	if code, _, said := c.run(t, "validate", "-w", t.TempDir(), "--set", "data.source=s3://sales/raw/bakery_daily.csv.gz"); code != 78 ||
		!strings.Contains(said, "{data: {keys: [store, item], time: date, target: sales, frequency: D, past_only: [promo, holiday,") {
		t.Errorf("a source alone: exit %d: %s", code, said)
	}
	c.want(t, 0, "config", "init", "s3://sales/raw/bakery_daily.csv.gz", "--to", filepath.Join(folder, "of-object.yaml"))
	validate("s3://sales/raw/bakery_daily.csv.gz", "-c", filepath.Join(folder, "of-object.yaml"))

	// What is wrong with a source has its exit code.
	for source, code := range map[string]int{"s3://sales/raw/nothing": 66, "s3://no-such-bucket/raw": 66, "s3://sales/raw/*.nothing": 66, "s3://me:hunter2@sales/raw": 64, "gs://sales/raw": 78} {
		_, _, said := c.run(t, append([]string{"validate", "-w", t.TempDir(), "--set", "data.source=" + source}, generated...)...)
		if strings.Contains(said, "hunter2") {
			t.Errorf("%s is repeated: %s", source, said)
		}
		c.want(t, code, append([]string{"validate", "-w", t.TempDir(), "--set", "data.source=" + source}, generated...)...)
	}
	wrong := c.with("AWS_SECRET_ACCESS_KEY=wrong")
	wrong.want(t, 77, append([]string{"validate", "-w", t.TempDir(), "--set", "data.source=s3://sales/raw/sales"}, generated...)...)
}
