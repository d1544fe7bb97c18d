// Runs health checks for Argo CD as Argo CD does, without it: the same Lua interpreter, with the
// same few libraries, the object as the global `obj`, one second.
//
// usage: argocd-lua DIR <objects >verdicts
//
// DIR/<kind in lower case>.lua judges a kind. One JSON object after the other comes in; one JSON
// object a line, `{"status": …, "message": …}`, goes out. A script that fails ends the run.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// What Argo CD opens for a script of a user: no string, no io, no math.
var libraries = []struct {
	name string
	open lua.LGFunction
}{
	{lua.LoadLibName, lua.OpenPackage},
	{lua.BaseLibName, lua.OpenBase},
	{lua.TabLibName, lua.OpenTable},
}

// The words that Argo CD takes for a health.
var known = map[string]bool{
	"Healthy": true, "Progressing": true, "Degraded": true, "Suspended": true, "Missing": true, "Unknown": true,
}

type verdict struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: argocd-lua DIR <objects >verdicts")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(dir string, in io.Reader, out io.Writer) error {
	objects, verdicts := json.NewDecoder(in), json.NewEncoder(out)
	for n := 1; ; n++ {
		var object map[string]any
		if err := objects.Decode(&object); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("object %d: %w", n, err)
		}
		kind, _ := object["kind"].(string)
		script := filepath.Join(dir, strings.ToLower(kind)+".lua")
		judged, err := judge(script, object)
		if err != nil {
			return fmt.Errorf("object %d, %s: %w", n, script, err)
		}
		if err := verdicts.Encode(judged); err != nil {
			return err
		}
	}
}

func judge(script string, object map[string]any) (*verdict, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for _, library := range libraries {
		open := lua.P{Fn: state.NewFunction(library.open), Protect: true}
		if err := state.CallByParam(open, lua.LString(library.name)); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	state.SetContext(ctx)
	state.SetGlobal("obj", value(state, object))
	if err := state.DoFile(script); err != nil {
		return nil, err
	}
	table, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		return nil, fmt.Errorf("it returned a %s, not a table", state.Get(-1).Type())
	}
	status, ok := table.RawGetString("status").(lua.LString)
	if !ok || !known[string(status)] {
		return nil, fmt.Errorf("%v is no health", table.RawGetString("status"))
	}
	message, ok := table.RawGetString("message").(lua.LString)
	if !ok {
		return nil, fmt.Errorf("%v is no message", table.RawGetString("message"))
	}
	return &verdict{string(status), string(message)}, nil
}

func value(state *lua.LState, from any) lua.LValue {
	switch from := from.(type) {
	case bool:
		return lua.LBool(from)
	case float64:
		return lua.LNumber(from)
	case string:
		return lua.LString(from)
	case []any:
		list := state.CreateTable(len(from), 0)
		for _, item := range from {
			list.Append(value(state, item))
		}
		return list
	case map[string]any:
		table := state.CreateTable(0, len(from))
		for key, item := range from {
			table.RawSetString(key, value(state, item))
		}
		return table
	default:
		return lua.LNil
	}
}
