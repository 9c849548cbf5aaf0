package tasks

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// Whatever else lies in a workspace's folder, old as it may be, only files of attempts that our own steps made are orphans.
func TestOnlyOurAttemptsAreOrphans(t *testing.T) {
	t.Parallel()
	env := stepEnv(t)
	ours := []string{
		"train/lightgbm/attempts/" + newAttempt(time.Unix(0, 0)) + "/model.txt",
		"forecast/attempts/" + newAttempt(time.Unix(0, 0)) + "/a/forecast.csv",
		"tune/xgboost/attempts/" + newAttempt(time.Unix(1e9, 0)) + "/trials.json",
	}
	rng := rand.New(rand.NewPCG(3, 4))
	words := []string{"train", "attempts", "forecast", "lightgbm", "notes", "20240101T000000Z-abcdefgh", "20240101", "data", "report", "photo.jpg", "x", "20240101T000000Z-ABCDEFGH"}
	theirs := []string{
		"attempts/20240101T000000Z-abcdefgh/thesis.doc", "train/attempts/20240101T000000Z-abcdefgh/x", "forecast/attempts/summit.txt", "forecast/attempts/everest/summit.txt",
		"climbs/attempts/20240101T000000Z-abcdefgh/summit.txt", "a/forecast/attempts/20240101T000000Z-abcdefgh/x", "train/a/b/attempts/20240101T000000Z-abcdefgh/x",
		"forecast/attempts/20240101T000000Z-abcdefgh", "forecast/other/attempts/20240101T000000Z-abcdefgh/x",
	}
	for i := range 300 {
		var parts []string
		for range 2 + rng.IntN(4) {
			parts = append(parts, words[rng.IntN(len(words))])
		}
		theirs = append(theirs, strings.Join(parts, "/")+fmt.Sprintf("/f%d", i))
	}
	theirs = slices.DeleteFunc(theirs, func(name string) bool { // by the words of the rule, not by its code
		p := strings.Split(name, "/")
		at := slices.Index(p, "attempts")
		if at < 0 || at+2 >= len(p) || p[at+1] != "20240101T000000Z-abcdefgh" {
			return false
		}
		return at == 1 && slices.Contains([]string{"forecast", "data", "report"}, p[0]) || at == 2 && p[0] == "train"
	})
	for _, name := range slices.Concat(ours, theirs) {
		if _, err := env.Store.Put(t.Context(), name, strings.NewReader("x")); err != nil {
			continue // a file where another name has a folder
		}
	}
	found, err := Orphans(t.Context(), env.Store, time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, i := range found {
		names = append(names, i.Name)
	}
	slices.Sort(names)
	slices.Sort(ours)
	if !slices.Equal(names, ours) {
		t.Errorf("orphans are %q, want %q", names, ours)
	}
}
