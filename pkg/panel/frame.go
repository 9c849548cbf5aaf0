package panel

// Frame is a block of rows of named float32 columns, column-major: column c of row r is Data[c*Rows+r]. NaN is missing.
type Frame struct {
	Names []string
	Rows  int
	Data  []float32
}

// Column returns column c; it shares the frame's memory.
func (f *Frame) Column(c int) []float32 { return f.Data[c*f.Rows : (c+1)*f.Rows] }

// Resize sets the number of rows, reusing Data where its capacity allows; the values are unspecified afterwards.
func (f *Frame) Resize(rows int) {
	n := rows * len(f.Names)
	if cap(f.Data) < n {
		f.Data = make([]float32, n)
	}
	f.Data, f.Rows = f.Data[:n], rows
}
