package lightgbm

import (
	"strconv"
	"strings"
)

// names returns column names as LightGBM's model text can hold them: it refuses the special characters of JSON and ends a name at white
// space. A name that then stands twice gets its position appended.
func names(columns []string) []string {
	out := make([]string, len(columns))
	seen := make(map[string]bool, len(columns))
	for i, c := range columns {
		out[i] = strings.Map(func(r rune) rune {
			if r <= ' ' || strings.ContainsRune("\",:[]{}\\=", r) {
				return '_'
			}
			return r
		}, c)
		for seen[out[i]] {
			out[i] += "_" + strconv.Itoa(i)
		}
		seen[out[i]] = true
	}
	return out
}
