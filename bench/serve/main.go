// Command serve measures a running server: requests at a fixed rate, whatever the answers take, and the times until they were there.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"
)

func main() {
	url := flag.String("url", "http://127.0.0.1:8080", "address of the server")
	path := flag.String("path", "/v1/forecast", "route to ask")
	body := flag.String("body", "{}", "JSON to send; @FILE reads it from a file")
	rate := flag.Int("rate", 100, "requests per second")
	last := flag.Duration("for", 10*time.Second, "how long")
	pid := flag.Int("pid", 0, "process whose memory is told")
	flag.Parse()
	if err := run(*url+*path, *body, *rate, *last, *pid); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(url, body string, rate int, last time.Duration, pid int) error {
	b := []byte(body)
	if len(body) > 0 && body[0] == '@' {
		var err error
		if b, err = os.ReadFile(body[1:]); err != nil {
			return err
		}
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: 30 * time.Second}
	var mu sync.Mutex
	var took []time.Duration
	failed := 0
	var wg sync.WaitGroup
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	end := time.Now().Add(last)
	for due := range tick.C {
		if due.After(end) {
			break
		}
		wg.Go(func() {
			err := ask(client, url, b)
			mu.Lock()
			defer mu.Unlock()
			took = append(took, time.Since(due)) // from when it was due: a late start counts
			if err != nil {
				failed++
			}
		})
	}
	wg.Wait()
	slices.Sort(took)
	if len(took) == 0 {
		return errors.New("no request was sent")
	}
	at := func(q float64) time.Duration { return took[min(int(q*float64(len(took))), len(took)-1)] }
	fmt.Printf("requests %d  failed %d  p50 %v  p90 %v  p99 %v  max %v\n", len(took), failed, at(0.5), at(0.9), at(0.99), took[len(took)-1])
	if pid > 0 {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			return err
		}
		for line := range bytes.Lines(status) {
			if bytes.HasPrefix(line, []byte("VmRSS")) || bytes.HasPrefix(line, []byte("VmHWM")) {
				fmt.Printf("%s", line)
			}
		}
	}
	return nil
}

func ask(client *http.Client, url string, body []byte) error {
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	res, err := client.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", res.StatusCode)
	}
	return nil
}
