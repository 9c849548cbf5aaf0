package forecast

import (
	"context"
	"errors"
	"hash/fnv"
	"strings"
	"sync"
)

// EachSeries calls f once for every series 0 to n-1, on up to threads goroutines, and waits. It returns the first error, by goroutine;
// the context that f is given ends at any error.
func EachSeries(ctx context.Context, n, threads int, f func(ctx context.Context, s int) error) error {
	threads = min(max(threads, 1), max(n, 1))
	next := make(chan int)
	errs := make([]error, threads)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	for w := range threads {
		wg.Go(func() {
			for s := range next {
				if errs[w] == nil {
					if errs[w] = f(ctx, s); errs[w] != nil {
						cancel()
					}
				}
			}
		})
	}
	for s := range n {
		next <- s
	}
	close(next)
	wg.Wait()
	var first error
	for _, err := range errs {
		// A goroutine that was stopped by another's failure says only that.
		if err != nil && (first == nil || errors.Is(first, context.Canceled)) {
			first = err
		}
	}
	return first
}

// SeriesSeed makes the random draws of a series its own, whatever stands beside it in the panel.
func SeriesSeed(id []string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(strings.Join(id, "\x00")))
	return h.Sum64()
}

// SortedQuantile interpolates linearly between the order statistics of at least one draw, as numpy's default does.
func SortedQuantile(sorted []float64, level float64) float64 {
	at := level * float64(len(sorted)-1)
	i := int(at)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}
