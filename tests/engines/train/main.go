// Command train fits both engines on a CSV of numbers and saves models and predictions: the Go half of the check that Python opens what
// salescast saves.
package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/csv"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strconv"

	"salescast/pkg/panel"
	"salescast/pkg/regress"
	"salescast/pkg/regress/engines"
	"salescast/pkg/regress/regresstest"
)

func main() {
	log.SetFlags(0)
	data := flag.String("data", "", "CSV: columns, then y, w and valid")
	lib := flag.String("engines", "", "folder of the engines' libraries")
	out := flag.String("out", "", "folder to fill")
	flag.Parse()
	if err := run(*data, *lib, *out); err != nil {
		log.Fatal(err)
	}
}

func run(data, lib, out string) error {
	m, err := read(data)
	if err != nil {
		return err
	}
	e := engines.New(engines.Config{EngineDir: lib, Threads: 2})
	defer e.Close()
	for name, file := range map[string]string{"xgboost": "xgboost.ubj", "lightgbm": "lightgbm.txt"} {
		if err := train(e, name, m, filepath.Join(out, file)); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func train(e *engines.Engines, name string, m *regresstest.Matrix, file string) error {
	ctx := context.Background()
	l, err := e.Learner(name, map[string]string{"rounds": "30", "learning_rate": "0.2"})
	if err != nil {
		return err
	}
	model, err := l.Fit(ctx, m, &regress.Valid{Source: m, Patience: 5})
	if err != nil {
		return err
	}
	defer model.Close()
	var saved, predictions bytes.Buffer
	p := make([]float32, m.Rows())
	if err := model.Predict(ctx, m.X, p); err != nil {
		return err
	}
	if err := binary.Write(&predictions, binary.LittleEndian, p); err != nil {
		return err
	}
	if err := model.Save(&saved); err != nil {
		return err
	}
	if err := os.WriteFile(file, saved.Bytes(), 0o600); err != nil {
		return err
	}
	return os.WriteFile(file+".predictions", predictions.Bytes(), 0o600)
}

func read(data string) (*regresstest.Matrix, error) {
	f, err := os.Open(data) // #nosec G304 -- the file that the caller names
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return nil, err
	}
	names := rows[0][:len(rows[0])-3]
	m := &regresstest.Matrix{X: &panel.Frame{Names: names}, Y: make([]float32, len(rows)-1), BlockRows: 97}
	m.X.Resize(len(rows) - 1)
	for r, row := range rows[1:] {
		for c, text := range row[:len(names)+1] {
			v, err := strconv.ParseFloat(text, 32)
			if err != nil {
				return nil, err
			}
			if c == len(names) {
				m.Y[r] = float32(v)
			} else {
				m.X.Column(c)[r] = float32(v)
			}
		}
	}
	for _, n := range names {
		m.Cols = append(m.Cols, regress.Column{Name: n, Categorical: n == "weekday"})
	}
	return m, nil
}
