package main

import (
	"fmt"
	"strings"

	"salescast/tasks"
)

// exit is one row of the table of exit codes, which is an API: it is in the help, in README.md and in a test.
type exit struct {
	code  int
	kind  tasks.Kind
	means string
}

// exits is in the order of the codes.
func exits() []exit {
	return []exit{
		{0, "", "done, or the answer was there already"},
		{1, tasks.KindUnexpected, "an unexpected error (a crash of the program itself exits with 2)"},
		{10, tasks.KindRefused, "the gate refused the candidate model"},
		{11, tasks.KindDrift, "drift was found"},
		{64, tasks.KindUsage, "the command line is wrong"},
		{65, tasks.KindData, "the data broke its contract"},
		{66, tasks.KindInputMissing, "an input is missing"},
		{69, tasks.KindUnavailable, "a library or an optional service is not there"},
		{75, tasks.KindTryAgain, "a service or a disk is unreachable, slow or full: try again"},
		{77, tasks.KindPermission, "permission denied"},
		{78, tasks.KindConfig, "the configuration is wrong"},
		{99, tasks.KindNothing, "there is nothing to do"},
		{130, tasks.KindInterrupted, "interrupted (143 when terminated): outputs are whole or absent"},
	}
}

func exitCode(err error) int {
	kind := tasks.KindOf(err)
	for _, e := range exits() {
		if e.kind == kind {
			return e.code
		}
	}
	return 1
}

// exitStatus is the section of the help that lists codes.
func exitStatus() string {
	var b strings.Builder
	b.WriteString("Exit status:\n")
	for _, e := range exits() {
		fmt.Fprintf(&b, "  %3d  %s\n", e.code, e.means)
	}
	return b.String()
}
