# The platform wheels: the binary with its engines, and the Airflow provider.

GO      ?= go
BUILD   ?= .build
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LDFLAGS ?= -s -w -X main.release=$(VERSION)

.PHONY: wheel wheel-amd64 wheel-arm64

wheel: wheel-amd64 wheel-arm64 ## ship: Build the wheels for amd64 and arm64 into dist/

wheel-amd64 wheel-arm64: wheel-%:
	$(MAKE) engines ENGINES_ARCH=$*
	CGO_ENABLED=0 GOOS=linux GOARCH=$* $(GO) build -trimpath -buildvcs=false -tags engines -ldflags '$(LDFLAGS) -buildid=' -o $(BUILD)/wheel/$*/salescast ./cmd/salescast
	$(PYTHON) astro/provider/build_wheel.py --binary $(BUILD)/wheel/$*/salescast --arch $* --version $(VERSION) --out dist
