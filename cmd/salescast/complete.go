package main

import (
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"salescast/pkg/artifact"
	"salescast/tasks"
)

// noSuchCommand takes no arguments: a word that stands where a command should is one that is not known, and the nearest is offered.
func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var known []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			known = append(known, c.Name())
		}
	}
	return fmt.Errorf("unknown command %q for %q%s", args[0], cmd.CommandPath(), didYouMean(args[0], known))
}

// noSuchFlag offers the nearest flag for one that is not known.
func noSuchFlag(cmd *cobra.Command, err error) error {
	name, ok := strings.CutPrefix(err.Error(), "unknown flag: --")
	if !ok {
		return err
	}
	var known []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			known = append(known, "--"+f.Name)
		}
	})
	return fmt.Errorf("%w%s", err, didYouMean("--"+name, known))
}

// completed are the words that a shell offers for a value, and what it is to do with them.
type completed = func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective)

// fixed offers the same words always.
func fixed(words ...string) completed {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return words, cobra.ShellCompDirectiveNoFileComp
	}
}

// completions tells shells the values of flags, for cmd and all below it.
func (a *app) completions(cmd *cobra.Command) {
	values := map[string]completed{
		"workspace": completeWorkspace, "set": completeSetting, "config": files("yaml", "yml"),
		"output": fixed(outputText, outputJSON), "log-format": fixed("auto", logConsole, logJSON), "log-level": fixed("debug", "info", "warn", "error"),
	}
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			complete := values[f.Name]
			if key := f.Annotations[keyAnnotation]; len(key) == 1 {
				complete = completeValue(key[0])
			} else if words := f.Annotations[wordsAnnotation]; len(words) > 0 {
				complete = fixed(words...)
			}
			if complete == nil || c.HasParent() && c.Parent().Flag(f.Name) != nil {
				return // a file, a number, or a flag that a command above has told of
			}
			if err := c.RegisterFlagCompletionFunc(f.Name, complete); err != nil {
				panic(err) // the flag is there, and is told of once
			}
		})
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(cmd)
}

// wordsAnnotation has the values that a flag may have.
const wordsAnnotation = "salescast/words"

// oneOf says which values a flag may have.
func oneOf(cmd *cobra.Command, flag string, words []string) {
	if err := cmd.Flags().SetAnnotation(flag, wordsAnnotation, words); err != nil {
		panic(err)
	}
}

func files(extensions ...string) completed {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return extensions, cobra.ShellCompDirectiveFilterFileExt
	}
}

// completeWorkspace offers the workspaces in which a step has finished, and folders where there is none.
func completeWorkspace(_ *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	var found []string
	for _, pattern := range []string{filepath.Join(defaultRuns, "*"), begun + "*"} {
		folders, err := filepath.Glob(pattern)
		if err != nil {
			continue // what was typed is no pattern
		}
		for _, f := range folders {
			if done, err := filepath.Glob(filepath.Join(f, "*", artifact.ManifestName)); err == nil && len(done) > 0 && strings.HasPrefix(f, begun) {
				found = append(found, f)
			}
		}
	}
	if len(found) == 0 {
		return nil, cobra.ShellCompDirectiveFilterDirs
	}
	slices.Sort(found)
	return slices.Compact(found), cobra.ShellCompDirectiveNoFileComp
}

// completeFile offers the files of a workspace's finished steps, where it is a folder.
func (a *app) completeFile(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	at, err := artifact.ParseLocation(a.global.workspace)
	if err != nil || at.Scheme != artifact.SchemeFile || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	store, _, err := a.openStore(a.global.workspace)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, pattern := range []string{"*", "*/*"} {
		manifests, err := filepath.Glob(filepath.Join(at.Path, pattern, artifact.ManifestName))
		if err != nil {
			continue // the folder's own name is no pattern
		}
		for _, m := range manifests {
			step, err := filepath.Rel(at.Path, filepath.Dir(m))
			if err != nil {
				continue
			}
			step = filepath.ToSlash(step)
			o, err := tasks.OpenStep(cmd.Context(), store, step)
			if err != nil {
				continue // not a step's
			}
			for _, f := range o.Manifest.Files {
				names = append(names, path.Join(step, f.Name))
			}
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeRegistered offers the models of a local registry for the first of so many arguments; a shell does not wait for a server.
func (a *app) completeRegistered(most int) completed {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) >= most || a.getenv("MLFLOW_TRACKING_URI") != "" {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		c, err := a.loadConfig(cmd)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		reg, err := a.openRegistry(c)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		names, err := reg.Models(cmd.Context())
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeSetting offers the keys of the configuration, and after one its values.
func completeSetting(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	key, value, has := strings.Cut(begun, "=")
	if has {
		words, directive := completeValue(key)(cmd, args, value)
		for i := range words {
			words[i] = key + "=" + words[i]
		}
		return words, directive
	}
	var keys []string
	for _, s := range settings() {
		keys = append(keys, s.key+"=\t"+s.doc)
	}
	return keys, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// completeValue offers what a setting may be; of a list, what may stand next.
func completeValue(key string) completed {
	return func(_ *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
		s, err := settingOf(key)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var words []string
		switch s.at(&config{}).(type) {
		case *bool:
			words = []string{"true", "false"}
		case *[]string:
			before := begun[:strings.LastIndex(begun, ",")+1]
			named := strings.Split(before, ",")
			for _, w := range s.allowed {
				if !slices.Contains(named, w) && (before == "" || w != s.word) {
					words = append(words, before+w)
				}
			}
			return words, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
		default:
			words = slices.DeleteFunc(slices.Clone(s.allowed), func(w string) bool { return w == "" })
		}
		return words, cobra.ShellCompDirectiveNoFileComp
	}
}
