package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"
)

func (a *app) configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Show, describe and start a configuration",
		Long:  "Show, describe and start a configuration. A flag wins over the environment, that over the file, that over the default.",
		Args:  noSuchCommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.configShowCommand(), a.configSchemaCommand(), a.configInitCommand())
	return cmd
}

// configValue is one setting in "config show --output json".
type configValue struct {
	Value  any    `json:"value"`
	Origin string `json:"origin"`
}

func (a *app) configShowCommand() *cobra.Command {
	var origin bool
	cmd := &cobra.Command{
		Use:     "show",
		Short:   "Print every setting, and where its value came from",
		Long:    "Print every setting with its value, and with --origin where the value came from.\n\nReads the configuration. Writes nothing.",
		Example: "  salescast config show -c examples/bakery --origin",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.loadConfig(cmd)
			if err != nil {
				return err
			}
			if a.global.output == outputJSON {
				all := map[string]configValue{}
				for _, s := range settings() {
					all[s.key] = configValue{s.value(c), c.origins[s.key]}
				}
				return a.printJSON(all)
			}
			w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
			for _, s := range settings() {
				v, err := json.Marshal(s.value(c))
				if err != nil {
					return err
				}
				if origin {
					fmt.Fprintf(w, "%s\t%s\t%s\n", s.key, v, c.origins[s.key])
				} else {
					fmt.Fprintf(w, "%s\t%s\n", s.key, v)
				}
			}
			return w.Flush()
		},
	}
	cmd.Flags().BoolVar(&origin, "origin", false, "also say where each value came from")
	return cmd
}

func (a *app) configSchemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "schema",
		Short:   "Print the JSON Schema of salescast.yaml, for editors",
		Long:    "Print the JSON Schema of " + configName + ", with which editors complete and check it. Reads and writes nothing.",
		Example: "  salescast config schema > salescast.schema.json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			s, err := configSchema()
			if err != nil {
				return err
			}
			return a.printJSON(s)
		},
	}
}

// schemaNode is the part of JSON Schema that the file needs.
type schemaNode struct {
	Schema               string                 `json:"$schema,omitempty"`
	Title                string                 `json:"title,omitempty"`
	Description          string                 `json:"description,omitempty"`
	Type                 any                    `json:"type,omitempty"`
	Properties           map[string]*schemaNode `json:"properties,omitempty"`
	AdditionalProperties any                    `json:"additionalProperties,omitempty"`
	Items                *schemaNode            `json:"items,omitempty"`
	Enum                 []string               `json:"enum,omitempty"`
	Pattern              string                 `json:"pattern,omitempty"`
	Minimum              *float64               `json:"minimum,omitempty"`
	Maximum              *float64               `json:"maximum,omitempty"`
	Default              any                    `json:"default,omitempty"`
}

func configSchema() (*schemaNode, error) {
	root := &schemaNode{Schema: "https://json-schema.org/draft/2020-12/schema", Title: configName, Type: "object", AdditionalProperties: false, Properties: map[string]*schemaNode{}}
	for _, s := range settings() {
		at := root
		words := strings.Split(s.key, ".")
		for _, w := range words[:len(words)-1] {
			if at.Properties[w] == nil {
				at.Properties[w] = &schemaNode{Type: []string{"object", "null"}, AdditionalProperties: false, Properties: map[string]*schemaNode{}}
			}
			at = at.Properties[w]
		}
		n, err := s.schema()
		if err != nil {
			return nil, err
		}
		at.Properties[words[len(words)-1]] = n
	}
	return root, nil
}

func (s setting) schema() (*schemaNode, error) {
	n := &schemaNode{Description: s.doc, Pattern: s.pattern}
	if err := yaml.Unmarshal([]byte(s.def), &n.Default); err != nil {
		return nil, fmt.Errorf("default of %s: %w", s.key, err)
	}
	scalar := []string{"string", "number", "boolean"}
	switch s.at(&config{}).(type) {
	case *string:
		n.Type = "string"
		if s.pattern == "" {
			n.Enum = s.allowed
		}
	case *int, *uint64:
		n.Type = "integer"
	case *float64:
		n.Type = "number"
	case *bool:
		n.Type = "boolean"
	case *[]string:
		n.Type, n.Items = "array", &schemaNode{Type: scalar}
		if s.allowed != nil {
			n.Items = &schemaNode{Type: "string", Enum: s.allowed}
		}
		if s.word != "" {
			n.Type = []string{"array", "string"}
		}
	case *[]float64:
		zero, one := 0.0, 1.0
		n.Type, n.Items = "array", &schemaNode{Type: "number", Minimum: &zero, Maximum: &one}
	case *map[string]string:
		n.Type, n.AdditionalProperties = "object", false
		n.Properties = map[string]*schemaNode{}
		for name, words := range s.words() {
			n.Properties[name] = &schemaNode{Type: "string", Enum: words}
		}
	case *map[string][]string:
		n.Type, n.AdditionalProperties = "object", &schemaNode{Type: "array", Items: &schemaNode{Type: scalar}}
	default:
		n.Type = "object"
		n.AdditionalProperties = &schemaNode{Type: "object", AdditionalProperties: &schemaNode{Type: scalar}}
	}
	if s.min != 0 || s.max != 0 {
		n.Minimum, n.Maximum = &s.min, &s.max
	}
	return n, nil
}
