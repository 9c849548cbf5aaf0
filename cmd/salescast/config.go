package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"salescast/tasks"
)

const (
	// configName is looked for in the current folder when no file is named.
	configName = "salescast.yaml"
	// maxConfig bounds a configuration file.
	maxConfig = 1 << 20
)

// layers are where settings come from, besides the defaults; a later one wins.
type layers struct {
	// file is a path, or "" for configName where it exists.
	file string
	// text is a configuration that stands in no file; it excludes file.
	text   string
	getenv func(string) string
	// flags are "key=value" with the name of the flag that said so.
	flags []flagValue
}

type flagValue struct{ key, value, flag string }

// loadConfig reads the layers in their order: default, file, environment, flag. Every error is KindConfig.
func loadConfig(l layers) (*config, error) {
	c := &config{origins: map[string]string{}}
	for _, s := range settings() {
		if err := s.set(c, s.def, "default"); err != nil {
			return nil, err
		}
	}
	if l.text != "" {
		if err := c.decode("the guessed configuration", []byte(l.text)); err != nil {
			return nil, configError(err, "")
		}
	} else if err := c.readFile(l.file); err != nil {
		return nil, err
	}
	for _, s := range settings() {
		if v := l.getenv(s.env()); v != "" {
			if err := s.set(c, v, "environment "+s.env()); err != nil {
				return nil, configError(fmt.Errorf("environment variable %s: %w", s.env(), err), "")
			}
		}
	}
	for _, f := range l.flags {
		s, err := settingOf(f.key)
		if err == nil {
			err = s.set(c, f.value, "flag "+f.flag)
		}
		if err != nil {
			return nil, &tasks.Error{Kind: tasks.KindUsage, Op: "flag " + f.flag, Err: err, Hint: `"salescast config schema" lists every key`}
		}
	}
	return c, nil
}

func configError(err error, hint string) error {
	return &tasks.Error{Kind: tasks.KindConfig, Op: "read configuration", Err: err, Hint: hint}
}

func settingOf(key string) (setting, error) {
	var keys []string
	for _, s := range settings() {
		if s.key == key {
			return s, nil
		}
		if strings.HasSuffix(s.key, "."+key) {
			return setting{}, fmt.Errorf("unknown key %q, did you mean %q?", key, s.key)
		}
		keys = append(keys, s.key)
	}
	return setting{}, fmt.Errorf("unknown key %q%s", key, didYouMean(key, keys))
}

// set reads one value as a person types it: YAML, where a list may go without brackets and text without quotes.
func (s setting) set(c *config, value, origin string) error {
	at := s.at(c)
	if p, ok := at.(*string); ok {
		*p = strings.Trim(value, `"`)
		c.origins[s.key] = origin
		return s.validate(c)
	}
	switch at.(type) {
	case *[]string, *[]float64:
		if !strings.HasPrefix(strings.TrimSpace(value), "[") {
			value = "[" + value + "]"
		}
	}
	f, err := parseYAML([]byte(value))
	if err != nil || len(f.Docs) != 1 || f.Docs[0].Body == nil {
		return fmt.Errorf("%s must be %s, not %q", s.key, kindOf(at), value)
	}
	if err := s.decode(c, f.Docs[0].Body); err != nil {
		return err
	}
	c.origins[s.key] = origin
	return nil
}

// readFile reads one file strictly. A relative data.source is taken from the file's folder.
func (c *config) readFile(name string) error {
	named := name != ""
	if !named {
		name = configName
	}
	if fi, err := os.Stat(name); err == nil && fi.IsDir() {
		name = filepath.Join(name, configName)
	}
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) && !named {
		return nil
	}
	if err != nil {
		return configError(err, `"salescast config init DATA" writes one that fits your data`)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err != nil {
		return configError(err, "")
	}
	if len(b) > maxConfig {
		return configError(fmt.Errorf("%s is larger than %d bytes", name, maxConfig), "")
	}
	c.file, c.folder = name, filepath.Dir(name)
	if err := c.decode(name, b); err != nil {
		return configError(err, `"salescast config schema" lists every key`)
	}
	if src := c.Data.Source; src != "" && !filepath.IsAbs(src) && !strings.Contains(src, "://") {
		c.Data.Source = filepath.Join(c.folder, src)
	}
	return nil
}

// decode sets what the file says. Errors begin with "file:line:column:".
func (c *config) decode(name string, b []byte) error {
	file, err := parseYAML(b)
	if err != nil {
		return fmt.Errorf("%s: %w", position(name, err), syntaxError(err))
	}
	if len(file.Docs) > 1 {
		return fmt.Errorf("%s: only one document is allowed", where(name, file.Docs[1].Body))
	}
	if len(file.Docs) == 0 || file.Docs[0].Body == nil || file.Docs[0].Body.Type() == ast.CommentType {
		return nil // nothing but comments: the defaults
	}
	return c.section(name, "", file.Docs[0].Body)
}

// section reads the mapping below a prefix such as "forecast.".
func (c *config) section(name, prefix string, n ast.Node) error {
	if t := n.Type(); t != ast.MappingType && t != ast.MappingValueType {
		if t == ast.NullType && prefix != "" {
			return nil // a section whose keys are all commented out
		}
		return fmt.Errorf("%s: %s must be a mapping of keys to values", where(name, n), orTop(prefix))
	}
	seen := map[string]bool{}
	for _, e := range entries(n) {
		word := e.Key.GetToken().Value
		key := prefix + word
		if seen[key] {
			return fmt.Errorf("%s: %s is there twice", where(name, e.Key), key)
		}
		seen[key] = true
		if ref := reference(e.Value); ref != nil {
			return fmt.Errorf("%s: anchors, aliases and tags are not supported; write the value out", where(name, ref))
		}
		if s, err := settingOf(key); err == nil {
			if err := s.decode(c, e.Value); err != nil {
				return fmt.Errorf("%s: %w", where(name, e.Value), err)
			}
			c.origins[key] = where(name, e.Key)
			continue
		}
		below, known := c.keysAt(prefix)
		if slices.Contains(below, word) {
			if err := c.section(name, key+".", e.Value); err != nil {
				return err
			}
			continue
		}
		return fmt.Errorf("%s: unknown key %q in %s%s", where(name, e.Key), word, orTop(prefix), didYouMean(word, known))
	}
	return nil
}

// keysAt are the words allowed below a prefix: the sections, and all words.
func (c *config) keysAt(prefix string) (sections, all []string) {
	for _, s := range settings() {
		rest, ok := strings.CutPrefix(s.key, prefix)
		if !ok {
			continue
		}
		word, _, section := strings.Cut(rest, ".")
		if section && !slices.Contains(sections, word) {
			sections = append(sections, word)
		}
		if !slices.Contains(all, word) {
			all = append(all, word)
		}
	}
	return sections, all
}

func orTop(prefix string) string {
	if prefix == "" {
		return "the file"
	}
	return strings.TrimSuffix(prefix, ".")
}

func entries(n ast.Node) []*ast.MappingValueNode {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}
	}
	return nil
}

// reference finds an anchor, alias or tag below a node.
func reference(n ast.Node) ast.Node {
	var found ast.Node
	ast.Walk(visitor(func(n ast.Node) {
		switch n.(type) {
		case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode:
			if found == nil {
				found = n
			}
		}
	}), n)
	return found
}

type visitor func(ast.Node)

func (v visitor) Visit(n ast.Node) ast.Visitor {
	v(n)
	return v
}

// where is "file:line:column" of a node. A mapping's own token is the colon of its first entry, so its first key stands for it.
func where(name string, n ast.Node) string {
	if e := entries(n); len(e) > 0 {
		n = e[0].Key
	}
	p := n.GetToken().Position
	return name + ":" + strconv.Itoa(p.Line) + ":" + strconv.Itoa(p.Column)
}

func position(name string, err error) string {
	if e, ok := errors.AsType[yaml.Error](err); ok && e.GetToken() != nil {
		p := e.GetToken().Position
		return name + ":" + strconv.Itoa(p.Line) + ":" + strconv.Itoa(p.Column)
	}
	return name
}

// syntaxError is the library's message without its drawing of the source.
func syntaxError(err error) error {
	if e, ok := errors.AsType[yaml.Error](err); ok {
		return errors.New(e.GetMessage())
	}
	return err
}
