// Package airflow starts runs of DAGs and follows them over the REST API of an Airflow server: version 2 of the API on Airflow 3,
// version 1 on Airflow 2. Which of them a server speaks is asked of the server.
package airflow
