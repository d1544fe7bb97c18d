// Makes schemas for kubeconform of an API server's own OpenAPI documents: for each kind one file,
// KIND-GROUP-VERSION.json, which stands alone and refuses unknown fields.
//
// usage: schemas OUTPUT-FOLDER < a JSON list of the documents under /openapi/v3
package main

import (
	"encoding/json"
	"log"
	"os"
	"path/filepath"
	"strings"
)

type schema = map[string]any

const prefix = "#/components/schemas/"

func main() {
	log.SetFlags(0)
	var documents []struct {
		Components struct {
			Schemas map[string]schema
		}
	}
	if err := json.NewDecoder(os.Stdin).Decode(&documents); err != nil {
		log.Fatal("schemas: ", err)
	}
	for _, document := range documents {
		all := document.Components.Schemas
		for _, one := range all {
			strict(one)
		}
		for name, one := range all {
			for _, file := range files(one) {
				write(filepath.Join(os.Args[1], file), schema{
					"$ref":       prefix + name,
					"components": schema{"schemas": reached(all, name)},
				})
			}
		}
	}
}

// The names of the files of a kind; none for a part of one.
func files(one schema) (names []string) {
	kinds, _ := one["x-kubernetes-group-version-kind"].([]any)
	if len(kinds) != 1 {
		return // DeleteOptions and the like belong to every group
	}
	kind := kinds[0].(schema)
	text := func(key string) string { return strings.ToLower(kind[key].(string)) }
	group, _, _ := strings.Cut(text("group"), ".")
	parts := []string{text("kind"), group, text("version")}
	if group == "" {
		parts = []string{parts[0], parts[2]}
	}
	return []string{strings.Join(parts, "-") + ".json"}
}

// Refuses fields that a schema with fields of its own does not name, and knows "integer or string".
func strict(one schema) {
	properties, named := one["properties"].(schema)
	_, open := one["additionalProperties"]
	if named && !open && one["x-kubernetes-preserve-unknown-fields"] != true {
		one["additionalProperties"] = false
	}
	if one["format"] == "int-or-string" {
		one["type"] = []string{"integer", "string"}
	}
	// The other formats are Go's, or tell of text what the API server does not ask for.
	delete(one, "format")
	for _, property := range properties {
		strict(property.(schema))
	}
	for _, key := range []string{"items", "additionalProperties", "not"} {
		if inner, ok := one[key].(schema); ok {
			strict(inner)
		}
	}
	for _, key := range []string{"allOf", "anyOf", "oneOf"} {
		inner, _ := one[key].([]any)
		for _, part := range inner {
			strict(part.(schema))
		}
	}
}

// A schema and all that it refers to, at whatever remove.
func reached(all map[string]schema, name string) map[string]schema {
	found := map[string]schema{}
	var visit func(any)
	visit = func(value any) {
		switch value := value.(type) {
		case schema:
			if name, ok := value["$ref"].(string); ok {
				name = strings.TrimPrefix(name, prefix)
				if _, seen := found[name]; !seen {
					found[name] = all[name]
					visit(all[name])
				}
			}
			for _, inner := range value {
				visit(inner)
			}
		case []any:
			for _, inner := range value {
				visit(inner)
			}
		}
	}
	visit(schema{"$ref": prefix + name})
	return found
}

func write(path string, value any) {
	text, err := json.Marshal(value)
	if err == nil {
		err = os.WriteFile(path, text, 0o644)
	}
	if err != nil {
		log.Fatal("schemas: ", err)
	}
}
