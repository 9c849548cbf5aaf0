package ensemble

import (
	"math"
	"math/rand/v2"
	"testing"
)

// Two members may each be the best by one score and far behind by the other: somebody must still forecast.
func TestTheBestMemberIsNeverDropped(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(11, 12))
	for range 500 {
		n := 2 + rng.IntN(4)
		out, scores, candidates := make([]Weight, n), make([]memberScore, n), make([]Candidate, n)
		for m := range scores {
			scores[m] = memberScore{math.Exp(3 * rng.NormFloat64()), math.Exp(3 * rng.NormFloat64())}
			candidates[m].Statistical = rng.IntN(2) == 0
		}
		losses(out, scores, candidates)
		least := math.Inf(1)
		for _, w := range out {
			least = min(least, w.Loss)
		}
		if math.Abs(least-1) > 1e-12 {
			t.Fatalf("the smallest loss is %g, want 1: %+v", least, out)
		}
	}
}
