// Package airflow tests the DAG files, the operator and the commands below salescast airflow against a real Airflow 3 with MinIO and MLflow.
package airflow
