// Package mlflow is the tracker and the registry on an MLflow server, 2.9 or later, spoken to over REST.
//
// A server answers 200 to a body that it could read only in part and drops the rest, so requests are typed structs, and what End has
// flushed is read back and compared. Calls that make something new are not idempotent there: each carries an idempotency tag, and
// after an answer that was lost the tag is searched for before the call is repeated.
package mlflow
