package lightgbm

// api is the part of LightGBM/c_api.h that is used; handles are uintptr, and every status is 0 or an error. The calls of the
// prediction path, made once per row, are kept as addresses.
type api struct {
	lastError      func() string
	setLogCallback func(callback uintptr) int32

	sampleCount   func(rows int32, params string, out *int32) int32
	sampleIndices func(rows int32, params string, out *int32, n *int32) int32

	datasetSampled   func(columns **float64, indices **int32, ncol int32, perColumn *int32, sampled, local int32, total int64, params string, out *uintptr) int32
	datasetReference func(reference uintptr, rows int64, out *uintptr) int32
	datasetStream    func(dataset uintptr, weights, initScores, queries, classes, threads, maxThreads int32) int32
	datasetPush      func(dataset uintptr, data *float32, dtype, rows, columns, start int32, label, weight *float32, initScore *float64, query *int32, thread int32) int32
	datasetFinish    func(dataset uintptr) int32
	datasetNames     func(dataset uintptr, names **byte, n int32) int32
	datasetFree      func(dataset uintptr) int32

	boosterCreate     func(train uintptr, params string, out *uintptr) int32
	boosterAddValid   func(booster, valid uintptr) int32
	boosterUpdate     func(booster uintptr, finished *int32) int32
	boosterEvalCounts func(booster uintptr, n *int32) int32
	boosterEvalNames  func(booster uintptr, room int32, n *int32, buffer uint64, needed *uint64, out **byte) int32
	boosterEval       func(booster uintptr, data int32, n *int32, out *float64) int32
	boosterSave       func(booster uintptr, start, rounds, importance int32, room int64, needed *int64, out *byte) int32
	boosterLoad       func(text *byte, rounds *int32, out *uintptr) int32
	boosterColumns    func(booster uintptr, n *int32) int32
	boosterNames      func(booster uintptr, room int32, n *int32, buffer uint64, needed *uint64, out **byte) int32
	boosterImportance func(booster uintptr, rounds, kind int32, out *float64) int32
	boosterNumPredict func(booster uintptr, rows, kind, start, rounds int32, out *int64) int32
	boosterFree       func(booster uintptr) int32
	rowInit           func(booster uintptr, kind, start, rounds, dtype, columns int32, params string, out *uintptr) int32
	rowFree           func(row uintptr) int32

	// rowPredict is LGBM_BoosterPredictForMatSingleRowFast(row, *float32, *int64, *float64).
	rowPredict uintptr
}

const float32Type = 0

func (a *api) functions() map[string]any {
	return map[string]any{
		"LGBM_GetLastError": &a.lastError, "LGBM_RegisterLogCallback": &a.setLogCallback,
		"LGBM_GetSampleCount": &a.sampleCount, "LGBM_SampleIndices": &a.sampleIndices,
		"LGBM_DatasetCreateFromSampledColumn": &a.datasetSampled, "LGBM_DatasetCreateByReference": &a.datasetReference,
		"LGBM_DatasetInitStreaming": &a.datasetStream, "LGBM_DatasetPushRowsWithMetadata": &a.datasetPush,
		"LGBM_DatasetMarkFinished": &a.datasetFinish, "LGBM_DatasetSetFeatureNames": &a.datasetNames, "LGBM_DatasetFree": &a.datasetFree,
		"LGBM_BoosterCreate": &a.boosterCreate, "LGBM_BoosterAddValidData": &a.boosterAddValid, "LGBM_BoosterUpdateOneIter": &a.boosterUpdate,
		"LGBM_BoosterGetEvalCounts": &a.boosterEvalCounts, "LGBM_BoosterGetEvalNames": &a.boosterEvalNames, "LGBM_BoosterGetEval": &a.boosterEval,
		"LGBM_BoosterSaveModelToString": &a.boosterSave, "LGBM_BoosterLoadModelFromString": &a.boosterLoad,
		"LGBM_BoosterGetNumFeature": &a.boosterColumns, "LGBM_BoosterGetFeatureNames": &a.boosterNames,
		"LGBM_BoosterFeatureImportance": &a.boosterImportance, "LGBM_BoosterCalcNumPredict": &a.boosterNumPredict, "LGBM_BoosterFree": &a.boosterFree,
		"LGBM_BoosterPredictForMatSingleRowFastInit": &a.rowInit, "LGBM_FastConfigFree": &a.rowFree,
	}
}
