package outage

import (
	"sync"
	"time"
)

// Outage remembers since when a service has answered no call. One belongs to each client of a service; it may be used from several
// goroutines.
type Outage struct {
	// Patience is how long calls go on trying from the first that failed. Then each makes one attempt more, so that a step that makes
	// many calls ends soon after its first has given up.
	Patience time.Duration

	mu          sync.Mutex
	since, last time.Time
}

// Failed notes that an attempt of a call that began at began got no answer, and returns until when that call may try again.
func (o *Outage) Failed(began, now time.Time) (until time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.since.IsZero() || now.Sub(o.last) > 2*o.Patience { // what failed long ago says nothing of now
		o.since = now
		if began.Before(now) {
			o.since = began
		}
	}
	o.last = now
	if own := began.Add(o.Patience); own.Before(o.since.Add(o.Patience)) {
		return own
	}
	return o.since.Add(o.Patience)
}

// Passed notes that the service answered.
func (o *Outage) Passed() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.since = time.Time{}
}

// Over says that patience with the service has ended and it has not answered since: an attempt should be short.
func (o *Outage) Over(now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.since.IsZero() && now.Sub(o.last) <= 2*o.Patience && now.After(o.since.Add(o.Patience))
}
