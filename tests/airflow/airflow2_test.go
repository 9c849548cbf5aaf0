package airflow

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"salescast/tests/servers"
)

// TestAirflow2 has the command line speak to an Airflow 2. The DAGs themselves run on it in tests/dags, where they need no scheduler.
func TestAirflow2(t *testing.T) {
	t.Parallel()
	a := servers.StartAirflow2(t, servers.AirflowOptions{Python: servers.AirflowPython(t, "airflow2", servers.Wheel(t)), DAGs: []string{servers.Root("dags")}})
	salescast := func(code int, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), servers.Binary(t), append([]string{"airflow"}, args...)...)
		cmd.Env = []string{"HOME=" + a.Home, "AIRFLOW_URL=" + a.URL, "AIRFLOW_USERNAME=admin", "AIRFLOW_PASSWORD=admin"}
		out, err := cmd.Output()
		if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != code {
			t.Fatalf("salescast airflow %v: %v, want exit %d\n%s", args, err, code, out)
		}
		return string(out)
	}
	if out := salescast(0, "health"); !strings.Contains(out, "v1") || !strings.Contains(out, "healthy") {
		t.Errorf("health: %s", out)
	}
	var r run
	source := servers.Root("examples", "bakery", "bakery_daily.csv.gz")
	out := salescast(1, "trigger", training, "--unpause", "--wait", "--poll", "1s", "--timeout", "5m", "--output", "json", "--param", "source="+source)
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if is, try := r.state("validate", -1); is != "failed" || try != 1 {
		t.Errorf("validate, of sales that no configuration describes, is %s at try %d", is, try)
	}
	if is, _ := r.state("generate", -1); is != "skipped" {
		t.Errorf("generate is %s", is)
	}
	if out := salescast(0, "status", training, "--run", r.ID); !strings.Contains(out, "upstream_failed") {
		t.Errorf("status: %s", out)
	}
	if out := salescast(0, "logs", training, "validate", "--run", r.ID); !strings.Contains(out, "keys: [store, item], time: date, target: sales") {
		t.Errorf("the log does not say how the sales would be described: %s", out)
	}
}
