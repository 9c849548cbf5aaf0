package servetest

import (
	"os/exec"
	"testing"

	"salescast/tests/servers"
)

// Schemathesis attacks every route by what /openapi.json says of it: no answer is a failure of the server, and each is of a status, content
// type and shape that the description names. positive_data_acceptance is left out, because a request may be of the right shape and still
// name no series that there is.
func TestSchemathesis(t *testing.T) {
	t.Parallel()
	b := trained(t)
	s := b.serve(t, nil, "--model", b.workspace)
	cmd := exec.CommandContext(t.Context(), servers.Tool(t, "venvs/schemathesis/bin/schemathesis"), "run", s.url+"/openapi.json",
		"--checks", "all", "--exclude-checks", "positive_data_acceptance", "--suppress-health-check", "filter_too_much,too_slow",
		"--generation-deterministic", "-n", "20", "--continue-on-failure", "--no-color")
	cmd.Dir = t.TempDir()
	cmd.Env = []string{"HOME=" + t.TempDir(), "PATH=/usr/bin:/bin", "PYTHONIOENCODING=utf-8"}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
