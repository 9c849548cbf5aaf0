package tasks

import (
	"bytes"
	"context"
	"os"
	"strconv"
	"sync"
	"time"

	"salescast/pkg/track"
)

const (
	// sampleEvery is the distance of two points of the curves of the machine, maxSamples the number of times that a step is looked at.
	sampleEvery = 5 * time.Second
	maxSamples  = 2000
	// ticksPerSecond is the unit of /proc/stat that Linux shows to programs, on every machine.
	ticksPerSecond = 100
)

// samples are curves of the machine and of this process while a step works, under the names by which MLflow knows them.
type samples struct {
	now  func() time.Time
	stop chan struct{}
	done sync.WaitGroup

	points []track.Metric
	step   int64
	at     time.Time
	usage  usage
}

// usage is what the system has counted so far. Where it does not tell, ok is false.
type usage struct {
	busy, total float64 // ticks of all CPUs together
	own         float64 // seconds of this process
	used, share float64 // MB of memory in use, and percent of what there is
	resident    float64 // MB of this process
	ok          bool
}

// sample begins to look at the machine until finish.
func sample(ctx context.Context, now func() time.Time) *samples {
	s := &samples{now: now, stop: make(chan struct{}), at: now(), usage: machineUsage()}
	s.done.Go(func() {
		for tick := time.NewTicker(sampleEvery); ; {
			select {
			case <-tick.C:
				s.take()
			case <-s.stop:
				tick.Stop()
				return
			case <-ctx.Done():
				tick.Stop()
				return
			}
		}
	})
	return s
}

// finish ends the looking, with a last look, and returns the points.
func (s *samples) finish() []track.Metric {
	close(s.stop)
	s.done.Wait()
	s.take()
	return s.points
}

func (s *samples) take() {
	u, at := machineUsage(), s.now()
	before, since := s.usage, at.Sub(s.at).Seconds()
	if !u.ok || !before.ok || since <= 0 || u.total <= before.total || len(s.points) >= 5*maxSamples {
		return
	}
	s.usage, s.at = u, at
	for _, p := range []struct {
		name  string
		value float64
	}{
		// The kernel's count of waiting may go back, and with it the time that was not busy.
		{"cpu_utilization_percentage", min(max(100*(u.busy-before.busy)/(u.total-before.total), 0), 100)},
		{"system_memory_usage_megabytes", u.used},
		{"system_memory_usage_percentage", u.share},
		{"process_cpu_percentage", 100 * (u.own - before.own) / since},
		{"process_memory_megabytes", u.resident},
	} {
		s.points = append(s.points, track.Metric{Name: "system/" + p.name, Value: p.value, Step: s.step, At: at})
	}
	s.step++
}

// machineUsage reads /proc.
func machineUsage() (u usage) {
	const mega = 1e6
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return u
	}
	line, _, _ := bytes.Cut(stat, []byte("\n"))
	cpu := numbers(line)
	info, err := os.ReadFile("/proc/meminfo")
	if err != nil || len(cpu) < 8 {
		return u
	}
	for _, v := range cpu[:8] { // user, nice, system, idle, iowait, irq, softirq, steal
		u.total += v
	}
	u.busy = u.total - cpu[3] - cpu[4]
	memory := map[string]float64{}
	for l := range bytes.Lines(info) {
		name, _, _ := bytes.Cut(l, []byte(":"))
		if v := numbers(l); len(v) > 0 {
			memory[string(name)] = v[0] * 1024
		}
	}
	all := memory["MemTotal"]
	if all == 0 {
		return u
	}
	used := all - memory["MemAvailable"]
	u.used, u.share = used/mega, 100*used/all
	own, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return u
	}
	// The second field is the program's name in brackets, which may have spaces.
	fields := bytes.Fields(own[bytes.LastIndexByte(own, ')')+1:])
	if len(fields) < 22 {
		return u
	}
	user, system, pages := number(fields[11]), number(fields[12]), number(fields[21])
	u.own, u.resident, u.ok = (user+system)/ticksPerSecond, pages*float64(os.Getpagesize())/mega, true
	return u
}

// numbers are the fields of a line that are numbers.
func numbers(line []byte) (out []float64) {
	for f := range bytes.FieldsSeq(line) {
		if v, err := strconv.ParseFloat(string(f), 64); err == nil {
			out = append(out, v)
		}
	}
	return out
}

func number(field []byte) float64 {
	v, err := strconv.ParseFloat(string(field), 64)
	if err != nil {
		return 0
	}
	return v
}
