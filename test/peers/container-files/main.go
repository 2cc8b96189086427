// Command container-files reads what container engines read, by the libraries that they read it with, and prints it as JSON:
//
//	container-files compose FILE     a composition, as `docker compose config` loads it: by the schema of the Compose
//	                                 specification, with variables put in, and what is depended on looked for
//	container-files dockerfile FILE  a Dockerfile, as BuildKit parses it: its stages, with the instructions of each, and what
//	                                 BuildKit's own linter says of it as it is parsed
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

func main() {
	if len(os.Args) != 3 {
		fail(fmt.Errorf("usage: container-files compose|dockerfile FILE"))
	}
	kind, file := os.Args[1], os.Args[2]
	var read any
	var err error
	switch kind {
	case "compose":
		read, err = compose(file)
	case "dockerfile":
		read, err = dockerfile(file)
	default:
		err = fmt.Errorf("there is no %q; there are compose and dockerfile", kind)
	}
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(read)
	}
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func compose(file string) (any, error) {
	options, err := cli.NewProjectOptions([]string{file})
	if err != nil {
		return nil, err
	}
	return options.LoadProject(context.Background())
}

type stage struct {
	Base         string   `json:"base"`
	Instructions []string `json:"instructions"`
}

func dockerfile(file string) (any, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	parsed, err := parser.Parse(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	warnings := []string{}
	lint := linter.New(&linter.Config{Warn: func(rule, _, _, message string, at []parser.Range) {
		warnings = append(warnings, fmt.Sprintf("%s: %s", rule, message))
	}})
	stages, _, err := instructions.Parse(parsed.AST, lint)
	if err != nil {
		return nil, err
	}
	read := []stage{}
	for _, one := range stages {
		texts := []string{}
		for _, command := range one.Commands {
			texts = append(texts, fmt.Sprint(command))
		}
		read = append(read, stage{Base: one.BaseName, Instructions: texts})
	}
	return map[string]any{"stages": read, "warnings": warnings}, nil
}
