// Package xgboost fits and opens XGBoost models by calling the C API of the engine's own shared library.
//
// Training reads the Source in passes and keeps only the quantised matrix: one byte per value, or four once any value is NaN. Models are
// saved as XGBoost's UBJSON, and are the ones that its Python package saves and loads.
//
// The bins come from a sketch of quantiles that is merged block by block, so another division of the same rows into blocks may give
// slightly different trees; the same division gives the same bytes.
package xgboost
