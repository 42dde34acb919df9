// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"encoding/base64"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/slipway-dev/slipway/pkg/minijenkins/groovy"
)

const (
	// maxLibraries bounds how many libraries a build may have.
	maxLibraries = 32
	// maxLibraryCode and maxLibraryData bound the variables and the resources of all libraries of a build in bytes. They are in
	// memory while it runs, and the variables take many times of it when they are parsed.
	maxLibraryCode = 4 << 20
	maxLibraryData = 32 << 20
)

// CheckLibraries fails if the libraries of a build are too many or have too much.
func CheckLibraries(libs []*Library) error {
	code, data := 0, 0
	for _, l := range libs {
		for _, text := range l.Vars {
			code += len(text)
		}
		for _, content := range l.Resources {
			data += len(content)
		}
	}
	switch {
	case len(libs) > maxLibraries:
		return failed("A build can have no more than %d libraries", maxLibraries)
	case code > maxLibraryCode:
		return failed("The variables of a build's libraries can have no more than %d bytes", maxLibraryCode)
	case data > maxLibraryData:
		return failed("The resources of a build's libraries can have no more than %d bytes", maxLibraryData)
	}
	return nil
}

// librarySteps are the steps of shared libraries and the symbols of their arguments.
func librarySteps() map[string]stepDef {
	return map[string]stepDef{
		"library": {display: "Load a library on the fly", logName: "library", only: "identifier", describe: "identifier",
			params: []string{"retriever", "changelog"}, run: stepLibrary},
		"pipeline":        {block: true, run: stepPipeline},
		"libraryResource": {display: "Load a resource file from a library", only: "resource", describe: "resource", params: []string{"encoding"}, run: stepLibraryResource},
		"modernSCM":       {symbol: true, only: "scm", params: []string{"libraryPath", "clone"}},
		"legacySCM":       {symbol: true, only: "scm", params: []string{"libraryPath", "clone"}},
		"gitSource":       {symbol: true, only: "remote", params: []string{"credentialsId", "id", "traits"}},
	}
}

// mapText is a text in a map that a script made.
func mapText(m *groovy.Map, key string) string {
	if v, _ := m.Get(key); v != nil {
		return groovy.ToString(v)
	}
	return ""
}

// libraryRequest reads the arguments of library.
func (c *stepCall) libraryRequest() (LibraryRequest, error) {
	req := libraryRef(c.text("identifier"))
	if req.Name == "" {
		return req, &groovy.Exception{Class: "java.lang.IllegalArgumentException", Message: "library needs an identifier such as name@version", Pos: c.pos}
	}
	if c.args["retriever"] == nil {
		return req, nil
	}
	retriever, _ := c.args["retriever"].(*groovy.Map)
	if retriever == nil {
		return req, failed("library: the retriever is none such as modernSCM([$class: 'GitSCMSource', remote: 'https://…'])")
	}
	if p := path.Clean("/" + mapText(retriever, "libraryPath")); p != "/" {
		return req, failed("library: libraryPath is not supported by the built-in runner; use Jenkins")
	}
	v, _ := retriever.Get("scm")
	scm, _ := v.(*groovy.Map)
	if scm == nil {
		return req, failed("library: the retriever names no scm")
	}
	class := mapText(scm, "$class")
	if class == "" {
		class = mapText(scm, symbolKey)
	}
	switch class = class[strings.LastIndexByte(class, '.')+1:]; class {
	case "GitSCMSource", "gitSource", "git":
		req.Remote, req.CredentialsID = mapText(scm, "remote"), mapText(scm, "credentialsId")
	case "GitSCM", "scmGit":
		s, err := gitSCM(scm)
		if err != nil {
			return req, err
		}
		req.Remote, req.CredentialsID = s.URL, s.CredentialsID
	default:
		return req, failed("library: a retriever of %s is not supported by the built-in runner; use git or Jenkins", clip(class))
	}
	if req.Remote == "" {
		return req, failed("library: the retriever names no remote")
	}
	if req.Version == "" {
		return req, failed("No version specified for library %s", req.Name)
	}
	return req, nil
}

func stepLibrary(ctx context.Context, c *stepCall) (any, error) {
	b := c.b
	req, err := c.libraryRequest()
	if err != nil {
		return nil, err
	}
	switch {
	case b.spec.Libraries == nil:
		return nil, failed("No library named %s found", req.Name)
	case slices.ContainsFunc(b.libs, func(l *Library) bool { return l.Name == req.Name }):
		c.say("Only using first definition of library " + req.Name)
		return &libraryObject{req.Name}, nil
	case len(b.libs) >= maxLibraries: // before it is fetched
		return nil, failed("A build can have no more than %d libraries", maxLibraries)
	}
	b.maskURL(req.Remote)
	c.say("Loading library " + req.String())
	pin, err := effect(ctx, b, "library", func(ctx context.Context, _ string) (LibraryPin, error) {
		return b.spec.Libraries.Resolve(ctx, req, c.say)
	})
	if err != nil {
		if ctx.Err() != nil {
			return nil, interrupted(ctx)
		}
		return nil, failed("%v", err)
	}
	lib, err := b.spec.Libraries.Open(pin)
	if err != nil {
		return nil, failed("Library %s could not be read: %v", req, err)
	}
	if err := CheckLibraries(append(slices.Clone(b.libs), lib)); err != nil {
		return nil, err
	}
	b.addLibraries(lib)
	check := &checker{agents: b.spec.Agents, declared: map[string]bool{}, vars: b.libVars, libs: b.libs, loaded: true}
	check.usedVars(usesOf(b.spec.Pipeline))
	if err := check.found(); err != nil {
		return nil, failed("%v", err)
	}
	return &libraryObject{req.Name}, nil
}

// libraryObject is what library returns: the way to the classes of the library, which are not there.
type libraryObject struct{ name string }

func (o *libraryObject) String() string    { return "library " + o.name }
func (o *libraryObject) ClassName() string { return "LoadedClasses" }

// Property implements groovy.Object.
func (o *libraryObject) Property(_ context.Context, name string) (any, bool, error) {
	return nil, false, failed("%s of the library %s: classes of libraries: %s", clip(name), o.name, adviceWith("put them into vars/"))
}

// SetProperty implements groovy.Object.
func (o *libraryObject) SetProperty(context.Context, string, any) (bool, error) { return false, nil }

// Call implements groovy.Object.
func (o *libraryObject) Call(context.Context, string, []any) (any, bool, error) {
	return nil, false, nil
}

func stepLibraryResource(_ context.Context, c *stepCall) (any, error) {
	name := strings.TrimPrefix(path.Clean("/"+c.text("resource")), "/")
	for _, l := range c.b.libs {
		data, ok := l.Resources[name]
		if !ok {
			continue
		}
		switch encoding := c.text("encoding"); {
		case strings.EqualFold(encoding, "Base64"):
			return base64.StdEncoding.EncodeToString(data), nil
		case encoding != "" && !strings.EqualFold(encoding, "UTF-8"):
			return nil, failed("libraryResource: encoding %s is not supported by the built-in runner; use UTF-8, Base64 or Jenkins", clip(encoding))
		case !utf8.Valid(data):
			return nil, failed("libraryResource: %s is no UTF-8 text; use encoding: 'Base64'", clip(name))
		}
		return string(data), nil
	}
	return nil, failed("No such library resource %s could be found.", clip(name))
}
