package quality

import (
	"strings"
	"testing"
)

func TestSentencesOfRules(t *testing.T) {
	t.Parallel()
	for _, r := range catalogue {
		if r.many == "" || r.cure == "" || (r.one == "") != !strings.Contains(r.many, "%d") || r.one != "" && !strings.HasPrefix(r.one, "1 ") {
			t.Errorf("%s: %q, %q, cure %q", r.name, r.one, r.many, r.cure)
		}
		if one, two := r.sentence(1), r.sentence(2); r.one != "" && (!strings.HasPrefix(one, "1 ") || !strings.HasPrefix(two, "2 ")) {
			t.Errorf("%s: of one %q, of two %q", r.name, one, two)
		}
	}
	c, err := NewCollector(nil)
	if err != nil {
		t.Fatal(err)
	}
	c.Add("stockout", Place{})
	if got := c.Findings()[0].Message; got != "1 sale was cut short by an empty shelf: it is neither learned from nor scored" {
		t.Error(got)
	}
}
