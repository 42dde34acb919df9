// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package groovy

import (
	"context"
	"errors"
	"testing"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
)

// hostObject stands for env, currentBuild and the like.
type hostObject struct{ plainObject }

func (*hostObject) String() string    { return "env" }
func (*hostObject) ClassName() string { return "EnvActionImpl" }

type objectHost struct{ clockHost }

func (h *objectHost) Global(ctx context.Context, name string) (any, bool, error) {
	if name == "env" {
		return &hostObject{}, true, nil
	}
	return h.clockHost.Global(ctx, name)
}

// TestEscapes tries the ways out of the sandbox that Groovy has. Each ends with the message that the sandbox of
// Jenkins has for it.
func TestEscapes(t *testing.T) {
	const rejectedAccess = "org.jenkinsci.plugins.scriptsecurity.sandbox.RejectedAccessException"
	for _, src := range []string{
		"'x'.class.forName('java.lang.Runtime')", "''.getClass().forName('a')", "String.forName('x')", "Class.forName('x')", "java.lang.Class.forName('x')",
		"String.class.classLoader", "''.class.classLoader", "[].class.methods", "''.class.protectionDomain", "this.class.classLoader", "''.class.newInstance()",
		"metaClass", "this.metaClass", "''.metaClass", "String.metaClass", "''.getMetaClass()", "env.metaClass", "env.getClass().forName('x')", "env.class.classLoader",
		"env['metaClass']", "''['metaClass']", "this['metaClass']", "''.\"meta${'Class'}\"", "1.metaClass", "(1..3).metaClass", "[a: 1].getMetaClass()", "({ 1 }).metaClass",
		"binding", "getBinding()", "this.binding", "this.getBinding()", "this.binding.variables", "evaluate('1')", "this.evaluate('1')", "Eval.me('1')", "new GroovyShell()",
		"new GroovyShell().evaluate('1')", "groovy.util.Eval.me('1')", "'ls'.execute()", "['ls'].execute()", "\"ls\".execute()", "'ls'.\"execute\"()", "'ls'.\"${'exe' + 'cute'}\"()",
		"['ls']*.execute()", "'ls'.with { it.execute() }", "def p = 'ls'.&execute\np()", "def p = this.&evaluate\np('1')", "def p = env.&getClass\np().forName('x')",
		"[env]*.metaClass", "[env]*.getMetaClass()", "[env]*.class*.classLoader", "[this]*.evaluate('1')", "Runtime.getRuntime().exec('ls')", "Runtime.runtime",
		"java.lang.Runtime.getRuntime()", "new ProcessBuilder('ls')", "new File('/etc/passwd').text", "new java.io.File('/x')", "new URL('http://x').text", "'http://x'.toURL()",
		"'/x'.toFile()", "'/x'.eachFile { }", "new Socket('a', 1)", "'x' as File", "'x' as URL", "[1] as Runtime", "(File) 'x'", "File f = 'x'",
		"System.getenv()", "System.getenv('PATH')", "System.exit(1)", "System.getProperty('x')", "System.properties", "System.env", "System.out.println(1)", "Thread.sleep(1)",
		"Thread.start { }", "new Thread({ }).start()", "Thread.currentThread()", "jenkins.model.Jenkins.instance", "jenkins.model.Jenkins.getInstance()", "hudson.model.Hudson.instance",
		"hudson.model.User.current()", "({ owner.metaClass })()", "({ delegate.metaClass })()", "({ delegate.evaluate('1') }).rehydrate(this, this, this)()", "''.with { metaClass }", "'ls'.with { execute() }", "def c = { execute() }\nc.delegate = 'ls'\nc()", "({ owner })().evaluate('1')",
		"({ 1 }).thisObject.evaluate('1')", "this.invokeMethod('x', null)", "use(String) { }", "String.newInstance()", "''.asType(File)", "new groovy.json.JsonSlurper().parse(new File('x'))",
		"new Date(0).class.classLoader", "try { 1 / 0 } catch (e) { e.class.classLoader }", "try { 1 / 0 } catch (e) { e.metaClass }", "Integer.getInteger('x')", "Boolean.getBoolean('x')",
		"UUID.fromString('x')", "File.createTempFile('a', 'b')", "java.io.File.separator", "java.nio.file.Files.readAllLines('x')", "[].stream()", "''.notify()", "steps.metaClass",
	} {
		s, err := jenkinsfile.ParseScript(src)
		if err != nil {
			t.Errorf("%s: %v", src, err)
			continue
		}
		v, err := New(&objectHost{}, Limits{}).main.run(t.Context(), s.Stmts)
		var e *Exception
		if !errors.As(err, &e) || e.Class != rejectedAccess {
			t.Errorf("%s: got %v, %v", src, v, err)
		}
	}
}
