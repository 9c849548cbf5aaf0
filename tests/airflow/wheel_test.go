package airflow

import (
	"flag"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"salescast/tests/servers"
)

// step runs a step of the program that the wheel has installed, through the operator that it has installed.
const step = `
from salescast_airflow.environment import find_binary
from salescast_airflow.operator import SalescastOperator
print("RAN", find_binary())
made = SalescastOperator(task_id="made", command="generate", args=["--stores", "1", "--items", "1"], workspace="made", s3_conn_id="", mlflow_conn_id="")
print("MADE", made.execute({"run_id": "r", "ti": None})["status"])
`

// versions are the environments with an Airflow that the wheel is installed beside.
var versions = flag.String("airflow", "airflow3,airflow2", "environments below .build/venvs, separated by commas")

// TestWheel installs the wheel with pip beside an Airflow 3 and an Airflow 2: the program, the operator and the provider are there.
func TestWheel(t *testing.T) {
	t.Parallel()
	wheel := servers.Wheel(t)
	for name := range strings.SplitSeq(*versions, ",") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			python, home := servers.AirflowPython(t, name, wheel), t.TempDir()
			run := func(name string, args ...string) string {
				t.Helper()
				cmd := exec.CommandContext(t.Context(), name, args...)
				cmd.Dir, cmd.Env = home, []string{"PATH=/usr/bin:/bin", "HOME=" + home, "AIRFLOW_HOME=" + home, "AIRFLOW__CORE__LOAD_EXAMPLES=False"}
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Fatalf("%v: %v\n%s", args, err, out)
				}
				return string(out)
			}
			program := filepath.Join(filepath.Dir(python), "salescast")
			if out := run(program, "version"); !strings.Contains(out, "salescast") {
				t.Errorf("salescast version: %s", out)
			}
			if out := run(python, "-m", "airflow", "providers", "list"); !strings.Contains(out, "salescast") {
				t.Errorf("airflow providers list: %s", out)
			}
			if out := run(python, "-c", step); !strings.Contains(out, "RAN "+program) || !strings.Contains(out, "MADE done") {
				t.Errorf("the operator: %s", out)
			}
		})
	}
}
