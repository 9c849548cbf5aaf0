package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"salescast/pkg/artifact"
	"salescast/tasks"
)

// defaultRuns is the folder under which "run" makes workspaces.
const defaultRuns = "runs"

// workspaceInfo is one row of "runs".
type workspaceInfo struct {
	Workspace string     `json:"workspace"`
	Steps     []stepInfo `json:"steps"`
}

type stepInfo struct {
	Step     string             `json:"step"`
	Finished time.Time          `json:"finished"`
	Binary   string             `json:"binary"`
	Files    int                `json:"files"`
	Bytes    int64              `json:"bytes"`
	Metrics  map[string]float64 `json:"metrics,omitempty"`
}

func (a *app) runsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "runs [FOLDER|URL]",
		Short: "List workspaces and what was done in them",
		Long: `List the workspaces below a folder or an s3:// URL (default ` + defaultRuns + `), and the steps that were finished in each.

Reads manifests. Writes nothing.`,
		Example: "  salescast runs\n  salescast runs runs --output json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			root := defaultRuns
			if len(args) == 1 {
				root = args[0]
			}
			return a.listRuns(cmd.Context(), root)
		},
	}
}

func (a *app) listRuns(ctx context.Context, root string) error {
	store, at, err := a.openStore(root)
	if err != nil {
		return err
	}
	all := []workspaceInfo{}
	for i, err := range store.List(ctx, "") {
		if err != nil {
			return fmt.Errorf("list %s: %w", root, err)
		}
		if path.Base(i.Name) != artifact.ManifestName || strings.Contains(i.Name, "/attempts/") {
			continue
		}
		m, err := readManifest(ctx, store, i.Name)
		if err != nil {
			a.log.Warn().Err(err).Str("manifest", store.URL(i.Name)).Msg("passed over")
			continue
		}
		workspace, ok := strings.CutSuffix(path.Dir(i.Name), m.Step)
		if !ok {
			continue
		}
		name := at.Join(strings.TrimSuffix(workspace, "/")).String()
		k := slices.IndexFunc(all, func(w workspaceInfo) bool { return w.Workspace == name })
		if k < 0 {
			k = len(all)
			all = append(all, workspaceInfo{Workspace: name})
		}
		info := stepInfo{Step: m.Step, Finished: m.Finished, Binary: m.Binary, Files: len(m.Files), Metrics: m.Metrics}
		for _, f := range m.Files {
			info.Bytes += f.Size
		}
		all[k].Steps = append(all[k].Steps, info)
	}
	for _, w := range all {
		slices.SortFunc(w.Steps, func(a, b stepInfo) int { return a.Finished.Compare(b.Finished) })
	}
	if a.global.output == outputJSON {
		return a.printJSON(all)
	}
	if len(all) == 0 {
		fmt.Fprintf(a.err, "no finished step below %s\n", root)
		return nil
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "WORKSPACE\tSTEP\tFINISHED\tFILES\tSIZE")
	for _, ws := range all {
		for _, s := range ws.Steps {
			fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\n", ws.Workspace, s.Step, s.Finished.Format("2006-01-02 15:04:05"), s.Files, size(s.Bytes))
		}
	}
	return w.Flush()
}

func readManifest(ctx context.Context, store artifact.Store, name string) (artifact.Manifest, error) {
	r, _, err := store.Get(ctx, name)
	if err != nil {
		return artifact.Manifest{}, err
	}
	defer r.Close()
	return artifact.ReadManifest(r)
}

// size writes bytes for people.
func size(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}

func (a *app) pruneCommand() *cobra.Command {
	var olderThan time.Duration
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Remove what no manifest names: files of killed and replaced attempts",
		Long: `Remove the files below attempts/ folders of a workspace that no manifest names. They are left by steps
that were killed or redone. Files that are younger than --older-than stay, because a step that is
running has no manifest yet. On a terminal it only says what it would remove, unless --dry-run=false.

Reads manifests. Deletes orphans; steps and their logical names are not touched.`,
		Example: "  salescast prune -w runs/bakery --dry-run\n  salescast prune -w runs/bakery --older-than 1h",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !cmd.Flags().Changed("dry-run") {
				dryRun = a.outTerminal
			}
			return a.prune(cmd.Context(), olderThan, dryRun)
		},
	}
	cmd.Flags().DurationVar(&olderThan, "older-than", 24*time.Hour, "least `age` of what is removed")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only say what would be removed")
	return cmd
}

// pruned is what "prune --output json" prints.
type pruned struct {
	Workspace string   `json:"workspace"`
	DryRun    bool     `json:"dry_run"`
	Removed   []string `json:"removed"`
	Bytes     int64    `json:"bytes"`
}

func (a *app) prune(ctx context.Context, olderThan time.Duration, dryRun bool) error {
	if a.global.workspace == "" {
		return &tasks.Error{Kind: tasks.KindUsage, Op: "prune", Err: errors.New("no workspace is given"), Hint: "say which with -w, or set SALESCAST_WORKSPACE"}
	}
	store, at, err := a.openStore(a.global.workspace)
	if err != nil {
		return err
	}
	p := pruned{Workspace: at.String(), DryRun: dryRun, Removed: []string{}}
	orphans, err := tasks.Orphans(ctx, store, a.now().Add(-olderThan))
	if err != nil {
		return err
	}
	for _, o := range orphans {
		if !dryRun {
			if err := store.Delete(ctx, o.Name); err != nil {
				return fmt.Errorf("prune: %w", err)
			}
		}
		p.Removed = append(p.Removed, o.Name)
		p.Bytes += o.Size
	}
	if at.Scheme == artifact.SchemeFile {
		if err := pruneTemporary(filepath.Join(at.Path, ".salescast", "tmp"), a.now().Add(-olderThan), &p); err != nil {
			return fmt.Errorf("prune: %w", err)
		}
	}
	if a.global.output == outputJSON {
		return a.printJSON(p)
	}
	for _, n := range p.Removed {
		fmt.Fprintln(a.out, n)
	}
	verb := "removed"
	if dryRun {
		verb = "to be removed with --dry-run=false"
	}
	a.log.Info().Msgf("%d files, %s %s", len(p.Removed), size(p.Bytes), verb)
	return nil
}

// pruneTemporary removes what killed writes left in the store's own folder.
func pruneTemporary(folder string, before time.Time, p *pruned) error {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		i, err := e.Info()
		if err != nil || !i.ModTime().Before(before) {
			continue // gone, or at work
		}
		if !p.DryRun {
			if err := os.Remove(filepath.Join(folder, e.Name())); err != nil {
				return err
			}
		}
		p.Removed = append(p.Removed, path.Join(".salescast/tmp", e.Name()))
		p.Bytes += i.Size()
	}
	return nil
}
