package engines

import _ "embed"

// License is the licence of something that a release binary carries.
type License struct {
	// Name says what it covers; SPDX is its identifier, Text the whole of it.
	Name, SPDX, Text string
}

//go:embed licenses/xgboost.txt
var xgboostLicense string

//go:embed licenses/lightgbm.txt
var lightgbmLicense string

//go:embed licenses/gcc-runtime.txt
var gccLicense string

// Licenses returns the licences of the embedded libraries.
func Licenses() []License {
	return []License{
		{"XGBoost", "Apache-2.0", xgboostLicense},
		{"LightGBM", "MIT", lightgbmLicense},
		{"libgomp, libstdc++, libgcc_s", "GPL-3.0-or-later WITH GCC-exception-3.1", gccLicense},
	}
}
