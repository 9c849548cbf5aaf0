package airflow

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"salescast/tests/servers"
)

// BenchmarkOperator reports how much longer a task of ours takes than the same command in Airflow's BashOperator: the median of seven
// tasks each, from start to end as Airflow has them, in milliseconds. The first of each, which warm caches, do not count.
func BenchmarkOperator(b *testing.B) {
	a := servers.StartAirflow(b, servers.AirflowOptions{
		Python: servers.AirflowPython(b, "airflow3", servers.Wheel(b)), DAGs: []string{servers.Root("tests", "airflow", "overhead")},
	})
	a.Call(b, http.MethodPatch, "/api/v2/dags/overhead", map[string]any{"is_paused": false}, nil)
	for b.Loop() {
		var r run
		a.Call(b, http.MethodPost, "/api/v2/dags/overhead/dagRuns", map[string]any{"logical_date": nil}, &struct {
			ID *string `json:"dag_run_id"`
		}{&r.ID})
		at := "/api/v2/dags/overhead/dagRuns/" + r.ID
		servers.Until(b, 10*time.Minute, "the tasks have run", func() bool {
			a.Call(b, http.MethodGet, at, nil, &r)
			if r.State == "failed" {
				b.Fatal("a task failed")
			}
			return r.State == "success"
		})
		var tasks struct {
			All []struct {
				ID      string  `json:"task_id"`
				Seconds float64 `json:"duration"`
			} `json:"task_instances"`
		}
		a.Call(b, http.MethodGet, at+"/taskInstances?limit=100", nil, &tasks)
		taken := map[string][]float64{}
		for _, t := range tasks.All {
			if kind, turn, _ := strings.Cut(t.ID, "_"); turn != "0" {
				taken[kind] = append(taken[kind], 1000*t.Seconds)
			}
		}
		median := func(all []float64) float64 {
			slices.Sort(all)
			return (all[(len(all)-1)/2] + all[len(all)/2]) / 2
		}
		ours, shell := median(taken["ours"]), median(taken["shell"])
		b.ReportMetric(ours, "ms/task")
		b.ReportMetric(shell, "ms/shell-task")
		b.ReportMetric(ours-shell, "ms/overhead")
	}
}
