// Package api is the client of the operations of Airflow 3's REST API that salescast uses, generated from the OpenAPI document of
// Airflow's package: v2.yaml is that document without the rest, and make airflow-api makes both anew.
package api
