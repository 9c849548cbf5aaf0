package tune

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/c-bata/goptuna"
	"github.com/c-bata/goptuna/tpe"
)

const (
	// startup is the number of finished trials before the estimator is asked; earlier ones are drawn evenly.
	startup = 10
	// candidates is the number of draws from the good trials' density of which the most promising is taken.
	candidates = 24
)

// sampler is the tree-structured Parzen estimator of goptuna (Bergstra, Bardenet, Bengio, Kegl, Algorithms for hyper-parameter
// optimization, 2011): its densities, shares and weights. Drawing from them and comparing them is done here, because tpe.Sampler of
// goptuna 0.9.0 takes part of its draws from Go's global generator, which no seed reaches, and leaves out a square and a sum in the
// likelihood of fractions.
//
// A draw depends on the seed, the trial's ordinal, the parameter and the trials that are finished, and on nothing else: a study that was
// killed goes on with the trials that it would have had.
type sampler struct{ seed uint64 }

// Sample implements [goptuna.Sampler].
func (s sampler) Sample(study *goptuna.Study, trial goptuna.FrozenTrial, name string, distribution any) (float64, error) {
	ordinal, err := ordinalOf(trial)
	if err != nil {
		return 0, err
	}
	trials, err := study.GetTrials()
	if err != nil {
		return 0, err
	}
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %s", ordinal, name)
	rng := rand.New(rand.NewPCG(s.seed, h.Sum64()))
	seen, err := observations(trials, name)
	if err != nil {
		return 0, err
	}
	if len(seen) < startup {
		seen = nil
	}
	// The best tenth, and the rest, each in the order of the trials: the last weigh most.
	good := tpe.DefaultGamma(len(seen))
	slices.SortStableFunc(seen, observation.compare)
	below, above := slices.Clone(seen[:good]), slices.Clone(seen[good:])
	for _, part := range [][]observation{below, above} {
		slices.SortFunc(part, func(a, b observation) int { return cmp.Compare(a.ordinal, b.ordinal) })
	}
	switch d := distribution.(type) {
	case goptuna.CategoricalDistribution:
		return choose(rng, len(d.Choices), below, above), nil
	case goptuna.IntUniformDistribution:
		v := draw(rng, below, above, float64(d.Low)-0.5, float64(d.High)+0.5, 1)
		return min(max(math.Round(v), float64(d.Low)), float64(d.High)), nil
	case goptuna.LogUniformDistribution:
		for _, part := range [][]observation{below, above} {
			for i := range part {
				part[i].value = math.Log(part[i].value)
			}
		}
		v := draw(rng, below, above, math.Log(d.Low), math.Log(d.High), 0)
		return min(max(math.Exp(v), d.Low), d.High), nil
	case goptuna.UniformDistribution:
		return draw(rng, below, above, d.Low, d.High, 0), nil
	}
	return 0, fmt.Errorf("draw %s: %w", name, goptuna.ErrUnknownDistribution)
}

// observation is what a finished trial says of one parameter. A pruned one stands behind all complete ones, the later pruned before the
// earlier.
type observation struct {
	ordinal int
	value   float64
	step    int // the last before it was pruned, as high as can be for a complete one
	score   float64
}

func (o observation) compare(p observation) int {
	return cmp.Or(-cmp.Compare(o.step, p.step), cmp.Compare(o.score, p.score))
}

func observations(trials []goptuna.FrozenTrial, name string) ([]observation, error) {
	var out []observation
	for _, t := range trials {
		v, drawn := t.InternalParams[name]
		if !drawn || !ours(t) || t.State != goptuna.TrialStateComplete && t.State != goptuna.TrialStatePruned {
			continue
		}
		o := observation{value: v, step: math.MaxInt, score: t.Value}
		var err error
		if o.ordinal, err = ordinalOf(t); err != nil {
			return nil, err
		}
		if t.State == goptuna.TrialStatePruned {
			o.step, _ = t.GetLatestStep()
			o.score = t.IntermediateValues[o.step]
		}
		if math.IsNaN(o.score) {
			o.score = math.Inf(1)
		}
		out = append(out, o)
	}
	slices.SortFunc(out, func(a, b observation) int { return cmp.Compare(a.ordinal, b.ordinal) })
	return out, nil
}

func valuesOf(o []observation) []float64 {
	out := make([]float64, len(o))
	for i := range o {
		out[i] = o[i].value
	}
	return out
}

// estimator is goptuna's mixture of normal distributions, cut off at the ends of the range.
type estimator struct {
	*tpe.ParzenEstimator
	low, high float64
}

func estimate(o []observation, low, high float64) estimator {
	params := tpe.ParzenEstimatorParams{ConsiderPrior: true, PriorWeight: 1, ConsiderMagicClip: true, Weights: tpe.DefaultWeights}
	return estimator{tpe.NewParzenEstimator(valuesOf(o), low, high, params), low, high}
}

func (e estimator) draw(rng *rand.Rand) float64 {
	for {
		k := pick(rng, e.Weights)
		if v := e.Mus[k] + rng.NormFloat64()*e.Sigmas[k]; e.low <= v && v < e.high {
			return v
		}
	}
}

// mass is the probability, up to a factor that is the same for every v, of the whole number v where width is 1, or the density at v
// where it is 0.
func (e estimator) mass(v, width float64) float64 {
	inside, at := 0.0, 0.0
	for k, w := range e.Weights {
		cdf := func(x float64) float64 { return 0.5 * math.Erfc((e.Mus[k]-x)/(e.Sigmas[k]*math.Sqrt2)) }
		inside += w * (cdf(e.high) - cdf(e.low))
		if width > 0 {
			at += w * (cdf(v+width/2) - cdf(v-width/2))
		} else {
			z := (v - e.Mus[k]) / e.Sigmas[k]
			at += w * math.Exp(-0.5*z*z) / e.Sigmas[k]
		}
	}
	return at / inside
}

// draw returns the candidate that is likeliest among the good trials compared with the others. Without trials it draws evenly.
func draw(rng *rand.Rand, below, above []observation, low, high, width float64) float64 {
	if len(below)+len(above) == 0 {
		return low + rng.Float64()*(high-low)
	}
	good, rest := estimate(below, low, high), estimate(above, low, high)
	best, odds := 0.0, math.Inf(-1)
	for range candidates {
		v := good.draw(rng)
		if width > 0 {
			v = math.Round(v/width) * width
		}
		if o := math.Log(good.mass(v, width)) - math.Log(rest.mass(v, width)); o > odds {
			best, odds = v, o
		}
	}
	return best
}

// choose is draw for one of n words.
func choose(rng *rand.Rand, n int, below, above []observation) float64 {
	if len(below)+len(above) == 0 {
		return float64(rng.IntN(n))
	}
	shares := func(o []observation) []float64 {
		p, sum := make([]float64, n), float64(n)
		for i := range p {
			p[i] = 1 // the prior
		}
		for i, w := range tpe.DefaultWeights(len(o)) {
			p[int(o[i].value)] += w
			sum += w
		}
		for i := range p {
			p[i] /= sum
		}
		return p
	}
	good, rest := shares(below), shares(above)
	best, odds := 0, math.Inf(-1)
	for range min(candidates, n) {
		k := pick(rng, good)
		if o := math.Log(good[k]) - math.Log(rest[k]); o > odds {
			best, odds = k, o
		}
	}
	return float64(best)
}

// pick draws an index by weights whose sum is 1.
func pick(rng *rand.Rand, weights []float64) int {
	u := rng.Float64()
	for k, w := range weights {
		if u -= w; u < 0 {
			return k
		}
	}
	return len(weights) - 1
}
