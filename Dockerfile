# The Airflow image with salescast in it. The first FROM names the Astronomer runtime with its tag written out: the Astro CLI reads the
# version there, as text.
FROM astrocrpublic.azurecr.io/runtime:3.3-8 AS runtime

FROM golang:1.26-bookworm AS build
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends make python3-pip python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=devel
RUN make "wheel-$(go env GOARCH)" VERSION="${VERSION}"

FROM runtime
COPY --from=build /src/dist/ /tmp/wheels/
# hadolint ignore=DL3066
USER root
RUN pip install --no-cache-dir --no-index --no-deps /tmp/wheels/*.whl && rm -rf /tmp/wheels
# The runtime image names its user and not a number.
# hadolint ignore=DL3066
USER astro
