package xgboost

import (
	"unsafe"
)

// api is the part of xgboost/c_api.h that is used; handles are uintptr, and every status is 0 or an error.
type api struct {
	version        func(major, minor, patch *int32)
	lastError      func() string
	setLogCallback func(callback uintptr) int32

	proxyCreate    func(out *uintptr) int32
	proxySetDense  func(proxy uintptr, array *byte) int32
	matrixInfo     func(matrix uintptr, field string, array *byte) int32
	matrixStrings  func(matrix uintptr, field string, values **byte, n uint64) int32
	matrixFree     func(matrix uintptr) int32
	matrixDense    func(array *byte, config string, out *uintptr) int32
	quantileMatrix func(iter, proxy, ref, reset, next uintptr, config string, out *uintptr) int32

	boosterCreate      func(matrices *uintptr, n uint64, out *uintptr) int32
	boosterFree        func(booster uintptr) int32
	boosterSet         func(booster uintptr, name, value string) int32
	boosterUpdate      func(booster uintptr, round int32, matrix uintptr) int32
	boosterEval        func(booster uintptr, round int32, matrices *uintptr, names **byte, n uint64, out **byte) int32
	boosterSlice       func(booster uintptr, begin, end, step int32, out *uintptr) int32
	boosterColumns     func(booster uintptr, out *uint64) int32
	boosterSetStrings  func(booster uintptr, field string, values **byte, n uint64) int32
	boosterGetStrings  func(booster uintptr, field string, n *uint64, out ***byte) int32
	boosterScore       func(booster uintptr, config string, n *uint64, names ***byte, dim *uint64, shape **uint64, scores **float32) int32
	boosterSave        func(booster uintptr, config string, n *uint64, out **byte) int32
	boosterLoad        func(booster uintptr, data *byte, n uint64) int32
	predictDense       func(booster uintptr, array, config *byte, proxy uintptr, shape **uint64, dim *uint64, out **float32) int32
	predictFromDMatrix func(booster, matrix uintptr, config *byte, shape **uint64, dim *uint64, out **float32) int32
}

func (a *api) functions() map[string]any {
	return map[string]any{
		"XGBoostVersion": &a.version, "XGBGetLastError": &a.lastError, "XGBRegisterLogCallback": &a.setLogCallback,
		"XGProxyDMatrixCreate": &a.proxyCreate, "XGProxyDMatrixSetDataDense": &a.proxySetDense,
		"XGDMatrixSetInfoFromInterface": &a.matrixInfo, "XGDMatrixSetStrFeatureInfo": &a.matrixStrings, "XGDMatrixFree": &a.matrixFree,
		"XGDMatrixCreateFromDense": &a.matrixDense, "XGQuantileDMatrixCreateFromCallback": &a.quantileMatrix,
		"XGBoosterCreate": &a.boosterCreate, "XGBoosterFree": &a.boosterFree, "XGBoosterSetParam": &a.boosterSet,
		"XGBoosterUpdateOneIter": &a.boosterUpdate, "XGBoosterEvalOneIter": &a.boosterEval, "XGBoosterSlice": &a.boosterSlice,
		"XGBoosterGetNumFeature": &a.boosterColumns, "XGBoosterSetStrFeatureInfo": &a.boosterSetStrings,
		"XGBoosterGetStrFeatureInfo": &a.boosterGetStrings, "XGBoosterFeatureScore": &a.boosterScore,
		"XGBoosterSaveModelToBuffer": &a.boosterSave, "XGBoosterLoadModelFromBuffer": &a.boosterLoad,
		"XGBoosterPredictFromDense": &a.predictDense, "XGBoosterPredictFromDMatrix": &a.predictFromDMatrix,
	}
}

// maxCString bounds a string that comes from C.
const maxCString = 1 << 20

// goString copies a zero-terminated string of C.
func goString(p *byte) string {
	if p == nil {
		return ""
	}
	n := 0
	for n < maxCString && *(*byte)(unsafe.Add(unsafe.Pointer(p), n)) != 0 {
		n++
	}
	return string(unsafe.Slice(p, n))
}

// goStrings copies n strings of C.
func goStrings(p **byte, n uint64) []string {
	s := make([]string, n)
	for i := range s {
		s[i] = goString(*(**byte)(unsafe.Add(unsafe.Pointer(p), uintptr(i)*unsafe.Sizeof(p))))
	}
	return s
}

// cStrings returns pointers to zero-terminated copies; Go's collector does not move them and keeps them while the slice lives.
func cStrings(s []string) []*byte {
	p := make([]*byte, len(s))
	for i := range s {
		p[i] = &append([]byte(s[i]), 0)[0]
	}
	return p
}
