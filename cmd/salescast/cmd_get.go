package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path"

	"github.com/spf13/cobra"

	"salescast/pkg/artifact"
	"salescast/tasks"
)

func (a *app) getCommand() *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use:   "get NAME",
		Short: "Read a file of a finished step by its name",
		Long: `Read a file of a finished step by its logical name, such as evaluate/metrics.json, from any workspace.
Size and SHA-256 are checked against the manifest.

Writes the file to standard output, or to --to, once all of it has been checked: a file that is not
the one of the manifest (65) leaves no byte there. What --to names is replaced whole or not at all;
a link is followed, and a device or a pipe is written into.`,
		Example: "  salescast get -w runs/bakery evaluate/metrics.json\n  salescast get -w s3://salescast/runs/1 forecast/forecast.csv --to forecast.csv",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.get(cmd.Context(), args[0], to)
		},
		ValidArgsFunction: a.completeFile,
	}
	cmd.Flags().StringVar(&to, "to", "", "`path` to write to instead of standard output")
	return cmd
}

func (a *app) get(ctx context.Context, name, to string) (err error) {
	if a.global.workspace == "" {
		return &tasks.Error{Kind: tasks.KindUsage, Op: "get", Err: errors.New("no workspace is given"), Hint: "say which with -w, or set SALESCAST_WORKSPACE"}
	}
	if err := artifact.CheckName(name); err != nil {
		return &tasks.Error{Kind: tasks.KindUsage, Op: "get", Err: err, Hint: "a name is STEP/FILE, such as evaluate/metrics.json"}
	}
	store, _, err := a.openStore(a.global.workspace)
	if err != nil {
		return err
	}
	// The step is the longest folder of the name that has a manifest.
	for step := path.Dir(name); step != "." && step != "/"; step = path.Dir(step) {
		o, err := tasks.OpenStep(ctx, store, step)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		var r io.ReadCloser
		if file := name[len(step)+1:]; file == artifact.ManifestName {
			r, _, err = store.Get(ctx, name) // names the others, and no other names it
		} else {
			r, err = o.Get(ctx, file)
		}
		if err != nil {
			return err
		}
		defer r.Close()
		if to != "" {
			return writeOut(to, r)
		}
		return checkedCopy(a.out, r)
	}
	return &tasks.Error{Kind: tasks.KindInputMissing, Op: "get " + name, Err: errors.New("no finished step has that file"), Hint: `"salescast runs" lists the steps; a name is STEP/FILE, such as evaluate/metrics.json`}
}
