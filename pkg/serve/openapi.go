package serve

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"
)

//go:embed schemas.json
var schemas []byte

// parameter is one of a route's query, all of which may be left out.
type parameter struct{ name, kind, about string }

// forecastQuery says beside rows as CSV what a JSON body says by itself; it goes before what that says.
var forecastQuery = []parameter{
	{"model", "string", "SOURCE/MODEL, SOURCE, or MODEL; none is the first ensemble"},
	{"horizon", "integer", "steps to forecast"},
	{"quantiles", "string", "levels with commas between them"},
	{"drivers", "boolean", "tell what drives the forecast"},
	{"totals", "boolean", "tell the sums of all series and by key, with intervals of their own"},
	{"append", "boolean", "put the history after the stored one instead of in its place"},
}

// describe writes the OpenAPI 3.1 description of the routes; schemas.json has the shapes of bodies and answers.
func (s *Server) describe() ([]byte, error) {
	var components map[string]json.RawMessage
	if err := json.Unmarshal(schemas, &components); err != nil {
		return nil, fmt.Errorf("read schemas: %w", err)
	}
	ref := func(name string) map[string]any {
		return map[string]any{"application/json": map[string]any{"schema": map[string]string{"$ref": "#/components/schemas/" + name}}}
	}
	paths := map[string]map[string]any{}
	for _, r := range s.sections {
		path := strings.ReplaceAll(r.path, "...}", "}")
		op := map[string]any{"summary": r.about, "operationId": strings.Trim(strings.NewReplacer("/", "_", "{", "", "}", "", ".", "_").Replace(strings.ToLower(r.method)+path), "_")}
		ok := map[string]any{"description": "done"}
		if r.gives != "" {
			ok["content"] = ref(r.gives)
		}
		fault := "Problem"
		if r.mlflow {
			fault = "MLflowProblem"
		}
		op["responses"] = map[string]any{"200": ok, "default": map[string]any{"description": "an error", "content": ref(fault)}}
		if r.takes != "" {
			content := ref(r.takes)
			if r.path == "/v1/forecast" || r.mlflow {
				content["text/csv"] = map[string]any{"schema": map[string]string{"type": "string"}}
			}
			op["requestBody"] = map[string]any{"required": true, "content": content}
		}
		var params []any
		for _, part := range strings.Split(path, "{")[1:] {
			name, _, _ := strings.Cut(part, "}")
			params = append(params, map[string]any{"name": name, "in": "path", "required": true, "schema": map[string]string{"type": "string"}})
		}
		for _, name := range r.numbers {
			params = append(params, map[string]any{"name": name, "in": "query", "schema": map[string]any{"type": "integer", "minimum": 0}})
		}
		for _, p := range r.query {
			params = append(params, map[string]any{"name": p.name, "in": "query", "description": p.about, "schema": map[string]any{"type": p.kind}})
		}
		if params != nil {
			op["parameters"] = params
		}
		if r.open {
			op["security"] = []any{}
		}
		if paths[path] == nil {
			paths[path] = map[string]any{}
		}
		paths[path][strings.ToLower(r.method)] = op
	}
	doc := map[string]any{
		"openapi": "3.1.0",
		"info":    map[string]string{"title": "salescast", "version": s.o.Version, "description": "Sales forecasts with calibrated intervals."},
		"paths":   paths,
		"components": map[string]any{
			"schemas":         components,
			"securitySchemes": map[string]any{"bearer": map[string]string{"type": "http", "scheme": "bearer"}},
		},
	}
	if s.o.Token != "" {
		doc["security"] = []any{map[string]any{"bearer": []string{}}}
	}
	b, err := json.MarshalIndent(doc, "", "  ")
	return append(b, '\n'), err
}
