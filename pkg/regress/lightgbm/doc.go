// Package lightgbm fits and opens LightGBM models by calling the C API of the engine's own shared library.
//
// Training reads the Source twice, once for the sample of rows that the bins come from and once to push the rows into them, and keeps
// only the bins. Models are saved as LightGBM's text, and are the ones that its Python package saves and loads.
package lightgbm
