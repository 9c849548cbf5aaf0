# The real servers that tests/ talk to, in the versions that they are tested with.

MINIO_VERSION     := v0.0.0-20260212201848-7aac2a2c5b7c
VERSITYGW_VERSION := v1.8.0
MLFLOW_VERSION    := 3.17.2
# Older releases that the tracker works with. They do not say themselves which later packages they cannot do with.
MLFLOW_OLDER      := 2.22.5 2.9.2
MLFLOW_OLDER_PINS := "sqlalchemy<2.1" "setuptools<81"

.PHONY: servers
servers: .build/bin/minio .build/bin/versitygw .build/venvs/mlflow-3.17/bin/mlflow .build/venvs/prophet-1.5/ready .build/venvs/prophet-mlflow/ready ## develop: Install the servers that tests talk to

# With the flags of astro/minio/Dockerfile, so that test-images finds it in the build cache.
.build/bin/minio:
	$(call installing,MinIO, which compiles for some minutes (0.1 GB))
	CGO_ENABLED=0 GOBIN=$(CURDIR)/.build/bin go install -trimpath -ldflags "-s -w" github.com/minio/minio@$(MINIO_VERSION)

.build/bin/versitygw:
	GOBIN=$(CURDIR)/.build/bin go install github.com/versity/versitygw/cmd/versitygw@$(VERSITYGW_VERSION)

.build/venvs/mlflow-3.17/bin/mlflow:
	$(call installing,MLflow $(MLFLOW_VERSION) (0.9 GB))
	$(PYTHON) -m venv .build/venvs/mlflow-3.17
	.build/venvs/mlflow-3.17/bin/pip install --quiet mlflow==$(MLFLOW_VERSION) flask-wtf boto3 xgboost-cpu==3.2.0 lightgbm==4.7.0 pandas

.build/venvs/prophet-1.5/ready:
	$(call installing,Prophet (0.35 GB))
	$(PYTHON) -m venv .build/venvs/prophet-1.5
	.build/venvs/prophet-1.5/bin/pip install --quiet prophet==1.5.0
	touch $@

# Prophet and what of MLflow opens it; not in the venv above, which has nothing but Prophet.
.build/venvs/prophet-mlflow/ready:
	$(call installing,Prophet with MLflow (0.45 GB))
	$(PYTHON) -m venv .build/venvs/prophet-mlflow
	.build/venvs/prophet-mlflow/bin/pip install --quiet prophet==1.5.0 mlflow-skinny==$(MLFLOW_VERSION)
	touch $@

# test-mlflow-2.22.5 runs the tests of the tracker against that release.
.PHONY: test-mlflow-older
test-mlflow-older: $(MLFLOW_OLDER:%=test-mlflow-%) ## test: Run the tests of tracking against older MLflow servers

.PHONY: $(MLFLOW_OLDER:%=test-mlflow-%)
$(MLFLOW_OLDER:%=test-mlflow-%): test-mlflow-%: .build/venvs/mlflow-%/bin/mlflow
	SALESCAST_TEST_MLFLOW=$* go test -timeout 30m -count=1 ./tests/mlflow

$(MLFLOW_OLDER:%=.build/venvs/mlflow-%/bin/mlflow): .build/venvs/mlflow-%/bin/mlflow:
	$(PYTHON) -m venv .build/venvs/mlflow-$*
	.build/venvs/mlflow-$*/bin/pip install --quiet mlflow==$* boto3 $(MLFLOW_OLDER_PINS)
