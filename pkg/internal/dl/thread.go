package dl

import "runtime"

// Thread runs functions one after another on one operating-system thread of its own. The engines keep error texts, log callbacks and
// OpenMP's pool of workers per calling thread: one thread for all training keeps one pool.
type Thread struct {
	calls chan func()
	done  chan struct{}
}

// NewThread starts a thread; Close ends it.
func NewThread() *Thread {
	t := &Thread{calls: make(chan func()), done: make(chan struct{})}
	go func() {
		// Never unlocked: with the goroutine ends the thread, and with it what C kept for it.
		runtime.LockOSThread()
		defer close(t.done)
		for f := range t.calls {
			f()
		}
	}()
	return t
}

// Do runs f on the thread and waits for it. A panic of f comes out of Do.
func (t *Thread) Do(f func()) {
	var panicked any
	done := make(chan struct{})
	t.calls <- func() {
		defer close(done)
		defer func() { panicked = recover() }()
		f()
	}
	<-done
	if panicked != nil {
		panic(panicked)
	}
}

// Close waits for the running function and ends the thread; Do must not be called afterwards.
func (t *Thread) Close() {
	close(t.calls)
	<-t.done
}
