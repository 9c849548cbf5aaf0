# The services and Airflow of an Astronomer project, with Docker.

.PHONY: astro credentials

# The CLI interpolates ports from its environment and does not look for them in .env.
astro: credentials ## use: Start Airflow and the services with the Astro CLI, on the ports that .env says
	@command -v astro >/dev/null || { echo "no astro: install the Astro CLI, or run make stack, which needs neither it nor Docker"; exit 69; }
	env $$(grep -E '^(MINIO|MINIO_CONSOLE|MLFLOW|SERVE|PAGE)_PORT=[0-9]+$$' .env) astro dev start

credentials: ## use: Make up the credentials that .env lacks
	@astro/credentials.sh .env
