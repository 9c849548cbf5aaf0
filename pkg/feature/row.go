package feature

import "math"

// The ops of this file tell what the row is: how far ahead, how large and how old its series, and which.

func horizonOp(b *block, dst []float32) {
	for r := range dst {
		dst[r] = float32(b.cur[r].target - b.cur[r].end + 1)
	}
}

func logScaleOp(b *block, dst []float32) {
	for r := range dst {
		dst[r] = float32(math.Log(b.scale[r]))
	}
}

// ageOp is the steps from the first sale to the origin, at most a year.
func ageOp(b *block, dst []float32) {
	for r := range dst {
		dst[r] = float32(min(b.cur[r].end-1, b.st.plan.grid.year))
	}
}

func codeOp(i int) op {
	return func(b *block, dst []float32) {
		for r := range dst {
			dst[r] = b.st.codes[i][b.cur[r].series]
		}
	}
}
