package airflow

import (
	"strings"
	"testing"

	"salescast/tests/servers"
)

func TestAirflow(t *testing.T) {
	a := servers.StartAirflow(t, servers.AirflowOptions{
		Python: servers.AirflowPython(t, "airflow3", servers.Wheel(t)),
		DAGs:   []string{servers.Root("dags")},
	})
	if list := a.Command(t, "providers", "list"); !strings.Contains(list, "salescast") {
		t.Errorf("airflow providers list does not have salescast:\n%s", list)
	}
}
