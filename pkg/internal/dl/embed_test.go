//go:build engines

package dl

import (
	"strings"
	"testing"
)

func TestOpenEmbedded(t *testing.T) {
	t.Parallel()
	cache := t.TempDir()
	l := NewLoader(Config{CacheDir: cache, Python: "/nonexistent/python3"})
	for _, name := range []string{XGBoost, LightGBM} {
		lib, err := l.Open(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(lib.Path, cache) || !strings.Contains(lib.Origin, "embedded") || lib.Version == "" {
			t.Errorf("%s %s was opened from %q at %s", name, lib.Version, lib.Origin, lib.Path)
		}
	}
}
