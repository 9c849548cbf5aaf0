package serve

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are what /metrics tells of this server alone.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	handler  http.Handler
}

func newMetrics(c *catalogue) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "salescast_http_requests_total", Help: "Requests answered."}, []string{"route", "method", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "salescast_http_request_seconds", Help: "Time from a request to its answer.",
			Buckets: []float64{.0005, .001, .002, .003, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 30},
		}, []string{"route"}),
	}
	r := prometheus.NewRegistry()
	r.MustRegister(m.requests, m.seconds, &modelGauges{c}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.handler = promhttp.HandlerFor(r, promhttp.HandlerOpts{})
	return m
}

func (m *metrics) observe(route, method string, status int, took time.Duration) {
	switch method {
	case http.MethodGet, http.MethodPost, http.MethodHead, http.MethodPut, http.MethodDelete, http.MethodOptions, http.MethodPatch:
	default:
		method = "other" // clients must not make up labels
	}
	m.requests.WithLabelValues(route, method, strconv.Itoa(status)).Inc()
	m.seconds.WithLabelValues(route).Observe(took.Seconds())
}

// modelGauges tell of the models that are served.
type modelGauges struct{ c *catalogue }

var (
	gaugeLoaded = prometheus.NewDesc("salescast_model_loaded_timestamp_seconds", "When the served version was loaded.", []string{"model", "version"}, nil)
	gaugeFailed = prometheus.NewDesc("salescast_model_load_failed", "1 where a newer version could not be loaded.", []string{"model"}, nil)
)

// Describe implements [prometheus.Collector].
func (g *modelGauges) Describe(ch chan<- *prometheus.Desc) { ch <- gaugeLoaded; ch <- gaugeFailed }

// Collect implements [prometheus.Collector].
func (g *modelGauges) Collect(ch chan<- prometheus.Metric) {
	g.c.mu.RLock()
	defer g.c.mu.RUnlock()
	for _, s := range g.c.slots {
		failed := 0.0
		if s.failure != "" {
			failed = 1
		}
		ch <- prometheus.MustNewConstMetric(gaugeFailed, prometheus.GaugeValue, failed, s.address.name)
		if s.loaded != nil {
			ch <- prometheus.MustNewConstMetric(gaugeLoaded, prometheus.GaugeValue, float64(s.loaded.at.Unix()), s.address.name, s.loaded.version)
		}
	}
}
