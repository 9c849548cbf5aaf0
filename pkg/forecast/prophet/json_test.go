package prophet

import (
	"bytes"
	"encoding/json"
	"testing"
)

func TestSavedModelIsWhatProphetWrites(t *testing.T) {
	t.Parallel()
	for _, f := range fixtures(t) {
		o, x, y, _ := f.input()
		m, err := Fit(t.Context(), o, x, y)
		if err != nil {
			t.Fatal(err)
		}
		var a, b bytes.Buffer
		if err := m.Save(&a); err != nil {
			t.Fatal(err)
		}
		if err := m.Save(&b); err != nil || !bytes.Equal(a.Bytes(), b.Bytes()) {
			t.Fatalf("%s: two saves differ (%v)", f.Name, err)
		}
		var top map[string]any
		if err := json.Unmarshal(a.Bytes(), &top); err != nil {
			t.Fatal(err)
		}
		for _, k := range []string{"changepoints", "history_dates", "history", "train_component_cols"} {
			var inner any
			if text, ok := top[k].(string); !ok || json.Unmarshal([]byte(text), &inner) != nil {
				t.Errorf("%s: %s is not a text of JSON", f.Name, k)
			}
		}
	}
}
