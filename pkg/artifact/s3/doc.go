// Package s3 is the artifact store on S3-compatible object storage: MinIO, AWS and others.
//
// Every upload carries a CRC-32C of the whole object, which the server checks and keeps, and which a read of the whole object checks
// again. Objects of at most one part are sent in one request, larger ones as a multipart upload of which nothing is seen before its
// end; either way a write costs one part of memory. Retries happen here and nowhere below: minio-go's own are switched off.
package s3
