package policy

import _ "embed" // for schema.json

// schema is made from the types of the language by a test, which fails when it is not what they say.
//
//go:embed schema.json
var schemaText string

// Schema is the JSON Schema (draft 2020-12) of one document of the language, for editors and other tools. What it accepts
// can still be refused by Load, which knows more.
func Schema() string { return schemaText }
