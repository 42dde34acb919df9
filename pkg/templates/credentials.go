// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package templates

import (
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
)

// binding is how the step withCredentials takes a kind of credential.
type binding struct {
	// function is its name in the step.
	function string
	// variables are its arguments that name environment variables, in order.
	variables []variable
}

// variable is an argument that names an environment variable.
type variable struct {
	argument string
	// key is its name in a template's mapping, if that is another; env the default.
	key, env string
}

var (
	usernamePassword = binding{"usernamePassword", []variable{
		{argument: "passwordVariable", env: "PASSWORDVARIABLE"}, {argument: "usernameVariable", env: "USERNAMEVARIABLE"}}}
	secretString  = binding{"string", []variable{{argument: "variable", env: "VARIABLE"}}}
	kubeconfig    = binding{"kubeconfigContent", []variable{{argument: "variable", env: "VARIABLE"}}}
	sshPrivateKey = binding{"sshUserPrivateKey", []variable{{argument: "keyFileVariable", env: "KEYFILEVARIABLE"},
		{argument: "passphraseVariable", env: "PASSPHRASEVARIABLE"},
		// KubeSphere's default for the name of the user's variable.
		{argument: "usernameVariable", key: "sshUserPrivateKey", env: "SSHUSERPRIVATEKEY"}}}

	bindings = map[corev1.SecretType]binding{
		corev1.SecretTypeBasicAuth: usernamePassword, devopsv1alpha3.SecretTypeBasicAuth: usernamePassword,
		corev1.SecretTypeBootstrapToken: secretString, devopsv1alpha3.SecretTypeSecretText: secretString,
		devopsv1alpha3.SecretTypeKubeconfig: kubeconfig,
		corev1.SecretTypeSSHAuth:            sshPrivateKey, devopsv1alpha3.SecretTypeSSHAuth: sshPrivateKey,
	}
	environmentName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// withCredentials puts steps into a withCredentials that has the credential's parts in environment
// variables.
func withCredentials(spec devopsv1alpha3.StepSecret, secret *Secret, steps []any) ([]any, error) {
	given, known := bindings[secret.Type]
	wanted := given
	if spec.Type != "" {
		wanted, known = bindings[corev1.SecretType(spec.Type)]
	}
	switch {
	case !known && spec.Type != "":
		return nil, problem("the template asks for a Secret of type %q, which is no credential", spec.Type)
	case !known:
		return nil, problem("the Secret %q is of type %q, which is no credential", secret.Name, secret.Type)
	case wanted.function != given.function:
		return nil, problem("the template takes a Secret of type %q; %q is of type %q", spec.Type, secret.Name, secret.Type)
	}
	var call strings.Builder
	call.WriteString("${[" + wanted.function + "(credentialsId: " + GroovyQuote(secret.Name))
	for _, v := range wanted.variables {
		name := v.env
		for _, key := range []string{v.key, v.argument} {
			if own := spec.Mapping[key]; key != "" && own != "" {
				name = own
			}
		}
		if !environmentName.MatchString(name) {
			return nil, problem("the template's secret.mapping has %q, which is no name of an environment variable", name)
		}
		call.WriteString(", " + v.argument + ": '" + name + "'")
	}
	call.WriteString(")]}")
	return []any{step("withCredentials", map[string]any{"isLiteral": false, "value": call.String()}, steps)}, nil
}
