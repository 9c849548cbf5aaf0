# What tests need of Debian's packages.

CHROMIUM ?= /usr/bin/chromium

# $(call debian,FILE,PACKAGES) installs the packages where the file is missing.
debian = ls $(1) >/dev/null 2>&1 || { command -v apt-get >/dev/null || { echo "no $(1): install what Debian calls $(2)"; exit 1; }; \
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install --yes -qq --no-install-recommends $(2) >/dev/null; }

.PHONY: postgres redis iproute chromium

postgres:
	@$(call debian,/usr/lib/postgresql/*/bin/postgres,postgresql)

redis:
	@$(call debian,/usr/bin/redis-server,redis-server)

iproute:
	@$(call debian,/sbin/ip,iproute2)

# Elsewhere than on Debian say CHROMIUM=path.
chromium:
	@$(call debian,$(CHROMIUM),chromium)
