package main

import (
	"bufio"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"salescast/pkg/regress/engines"
	"salescast/pkg/report"
)

// release is the version of a release; the linker sets it in release builds: -X main.release=v1.2.3.
var release string

// versionInfo is what "version --output json" prints.
type versionInfo struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Dirty   bool   `json:"dirty,omitempty"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

// version reads what the build recorded. The Version differs between builds of different commits, because manifests rely on it.
func version() versionInfo {
	v := versionInfo{Version: release, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	if b, ok := debug.ReadBuildInfo(); ok {
		for _, s := range b.Settings {
			switch s.Key {
			case "vcs.revision":
				v.Commit = s.Value
			case "vcs.modified":
				v.Dirty = s.Value == "true"
			}
		}
	}
	if v.Version == "" {
		v.Version = "devel"
		if len(v.Commit) >= 12 {
			v.Version += "-" + v.Commit[:12]
		}
		if v.Dirty {
			v.Version += "-dirty"
		}
	}
	return v
}

func (a *app) versionCommand() *cobra.Command {
	var licenses bool
	c := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Long:  "Print the version, the commit and the platform; with --licenses, the licences of what the binary carries. Reads and writes nothing.",
		Example: `  salescast version --output json
  salescast version --licenses`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if licenses {
				return a.printLicenses()
			}
			v := version()
			if a.global.output == outputJSON {
				return a.printJSON(v)
			}
			_, err := fmt.Fprintf(a.out, "salescast %s (%s, %s/%s)\n", v.Version, v.Go, v.OS, v.Arch)
			return err
		},
	}
	c.Flags().BoolVar(&licenses, "licenses", false, "print the licences of salescast and of what it carries")
	return c
}

// printLicenses prints whole texts for what is embedded, and the modules that were compiled in.
func (a *app) printLicenses() error {
	all := append(engines.Licenses(), engines.License{Name: "Plotly.js, in reports", SPDX: "MIT", Text: report.PlotlyLicense})
	if a.global.output == outputJSON {
		type license struct {
			Name string `json:"name"`
			SPDX string `json:"spdx"`
			Text string `json:"text"`
		}
		out := []license{}
		for _, l := range all {
			out = append(out, license(l))
		}
		return a.printJSON(map[string]any{"licenses": out})
	}
	w := bufio.NewWriter(a.out)
	fmt.Fprintln(w, "salescast: Apache-2.0, the same text as that of XGBoost below.")
	for _, l := range all {
		fmt.Fprintf(w, "\n=== %s: %s\n\n%s\n", l.Name, l.SPDX, strings.TrimSpace(l.Text))
	}
	if b, ok := debug.ReadBuildInfo(); ok {
		fmt.Fprint(w, "\n=== Go modules, each under the licence in its source\n\n")
		for _, d := range b.Deps {
			fmt.Fprintln(w, d.Path, d.Version)
		}
	}
	return w.Flush()
}
