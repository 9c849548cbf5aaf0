package synth

import (
	"math"
	"math/rand/v2"
)

// Every random quantity is drawn from its own stream, named by the seed and by what it belongs to. So the order of the work, the number
// of threads, and how many other stores, products and years there are change nothing about it.
type stream uint64

const (
	streamStore stream = iota + 1
	streamProduct
	streamSeries
	streamTraffic
	streamClosures
	streamRenovation
	streamPromotion
	streamPromoted
	streamFlash
)

// source returns the stream of one thing.
func source(seed uint64, kind stream, of ...uint64) rand.PCG {
	h := mix(seed ^ mix(uint64(kind)))
	for _, v := range of {
		h = mix(h ^ mix(v+0x9e3779b97f4a7c15))
	}
	var p rand.PCG
	p.Seed(h, mix(h+0x9e3779b97f4a7c15))
	return p
}

// mix is the finaliser of SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// noise draws a factor with mean 1: log-normal, sigma on the log scale.
func noise(r *rand.Rand, sigma float64) float64 {
	return math.Exp(sigma*r.NormFloat64() - sigma*sigma/2)
}

// poisson draws a count with mean lambda.
//
// Small means: exponential gaps. Others: the transformed rejection PTRS of Hörmann, Insurance: Mathematics and Economics 12.1 (1993).
func poisson(r *rand.Rand, lambda float64) int32 {
	if lambda < 10 {
		n := int32(0)
		for t := r.ExpFloat64(); t < lambda; t += r.ExpFloat64() {
			n++
		}
		return n
	}
	b := 0.931 + 2.53*math.Sqrt(lambda)
	a := -0.059 + 0.02483*b
	vr := 0.9277 - 3.6224/(b-2)
	for {
		u, v := r.Float64()-0.5, r.Float64()
		us := 0.5 - math.Abs(u)
		k := math.Floor((2*a/us+b)*u + lambda + 0.43)
		if us >= 0.07 && v <= vr {
			return int32(k)
		}
		if k < 0 || (us < 0.013 && v > us) {
			continue
		}
		lg, _ := math.Lgamma(k + 1)
		if math.Log(v*(1.1239+1.1328/(b-3.4))/(a/(us*us)+b)) <= k*math.Log(lambda)-lambda-lg {
			return int32(k)
		}
	}
}
