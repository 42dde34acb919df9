// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// What a Jenkinsfile may write into the pod that it describes. The pods of all tenants run in one namespace, so all that
// reaches beyond the pod itself is refused: the node, the API server, other pods, Secrets, ConfigMaps, claims, placement
// and what webhooks or operators go by. A field that a later Kubernetes adds is refused until it is added here.

const (
	maxPodYAML       = 256 << 10 // bytes
	maxPodContainers = 20
	// maxPodLife bounds activeDeadlineSeconds, and is it where a pod has none, in seconds.
	maxPodLife = 24 * 60 * 60
	// maxGrace bounds terminationGracePeriodSeconds.
	maxGrace = 120
	// ourPrefix begins the names of volumes and init containers that are not for Jenkinsfiles.
	ourPrefix = "slipway"
)

// allow takes what is allowed of a value and notes the rest. found has the paths.
type allow func(at string, v any, found *findings) any

// findings are what is not allowed.
type findings struct{ texts []string }

const maxFindings = 10

func (f *findings) add(at, format string, args ...any) {
	if len(f.texts) < maxFindings {
		f.texts = append(f.texts, at+" "+fmt.Sprintf(format, args...))
	}
}

const notAllowed = "is not allowed in a Jenkinsfile's pod"

// object takes the fields that it names.
func object(fields map[string]allow) allow {
	return func(at string, v any, found *findings) any {
		in, ok := v.(map[string]any)
		if !ok {
			found.add(at, notAllowed)
			return nil
		}
		out := map[string]any{}
		for _, k := range sortedKeys(in) {
			below := k
			if at != "" {
				below = at + "." + k
			}
			rule, ok := fields[k]
			if !ok {
				found.add(below, notAllowed)
				continue
			}
			if kept := rule(below, in[k], found); kept != nil {
				out[k] = kept
			}
		}
		return out
	}
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// each takes a list whose items are allowed.
func each(item allow, most int) allow {
	return func(at string, v any, found *findings) any {
		in, ok := v.([]any)
		if !ok || len(in) > most {
			found.add(at, "has more than %d entries, which "+notAllowed, most)
			return nil
		}
		out := make([]any, 0, len(in))
		for i, x := range in {
			if kept := item(at+"["+strconv.Itoa(i)+"]", x, found); kept != nil {
				out = append(out, kept)
			}
		}
		return out
	}
}

// keys takes the entries of a map whose names are allowed.
func keys(allowed func(string) bool) allow {
	return func(at string, v any, found *findings) any {
		in, ok := v.(map[string]any)
		if !ok {
			found.add(at, notAllowed)
			return nil
		}
		out := map[string]any{}
		for _, k := range sortedKeys(in) {
			if !allowed(k) {
				found.add(at+"["+k+"]", notAllowed)
				continue
			}
			out[k] = in[k]
		}
		return out
	}
}

// plain takes any text, number or truth; it is for fields that have no others.
func plain(at string, v any, found *findings) any {
	switch v.(type) {
	case string, float64, bool:
		return v
	}
	found.add(at, notAllowed)
	return nil
}

// dropped may be there and is not taken over.
func dropped(string, any, *findings) any { return nil }

// only takes the values that it names.
func only(values ...any) allow {
	return func(at string, v any, found *findings) any {
		if !slices.Contains(values, v) {
			texts := make([]string, len(values))
			for i, v := range values {
				texts[i] = fmt.Sprint(v)
			}
			found.add(at, "may only be %s in a Jenkinsfile's pod", strings.Join(texts, " or "))
			return nil
		}
		return v
	}
}

// within takes numbers up to a bound.
func within(low, high float64) allow {
	return func(at string, v any, found *findings) any {
		if n, ok := v.(float64); !ok || n < low || n > high {
			found.add(at, "must be from %.0f to %.0f in a Jenkinsfile's pod", low, high)
			return nil
		}
		return v
	}
}

// notOurs takes names that do not begin as ours.
func notOurs(at string, v any, found *findings) any {
	if s, ok := v.(string); !ok || strings.HasPrefix(s, ourPrefix) {
		found.add(at, "must not begin with %q in a Jenkinsfile's pod", ourPrefix)
		return nil
	}
	return v
}

// notAgentDir takes paths outside of the folder of slipway-agent.
func notAgentDir(at string, v any, found *findings) any {
	s, _ := v.(string)
	if p := path.Clean(s); !path.IsAbs(s) || p == "/" || p == agentDir || strings.HasPrefix(p, agentDir+"/") {
		found.add(at, "must be an absolute path outside of %s in a Jenkinsfile's pod", agentDir)
		return nil
	}
	return v
}

// harmlessLabel tells if nothing of a cluster goes by a label: one without a prefix is for people, but for those that
// Jenkins' pods have and that of an old identity webhook.
func harmlessLabel(key string) bool {
	return (!strings.Contains(key, "/") || strings.HasPrefix(key, "app.kubernetes.io/")) && key != "jenkins" && key != "aadpodidbinding"
}

// harmlessAnnotation is harmlessLabel for annotations. Those with a prefix steer networks, security and webhooks.
func harmlessAnnotation(key string) bool {
	return !strings.Contains(key, "/") || key == "cluster-autoscaler.kubernetes.io/safe-to-evict"
}

func isPlatform(key string) bool { return key == corev1.LabelArchStable || key == corev1.LabelOSStable }

func isUsualResource(name string) bool {
	switch corev1.ResourceName(name) {
	case corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage:
		return true
	}
	return false
}

var (
	texts     = each(plain, 1000)
	seccomp   = object(map[string]allow{"type": only(string(corev1.SeccompProfileTypeRuntimeDefault))})
	resources = object(map[string]allow{"requests": keys(isUsualResource), "limits": keys(isUsualResource)})

	containerSecurity = object(map[string]allow{
		"runAsUser": plain, "runAsGroup": plain, "runAsNonRoot": plain, "readOnlyRootFilesystem": plain,
		"privileged": only(false), "allowPrivilegeEscalation": only(false), "seccompProfile": seccomp,
		"capabilities": object(map[string]allow{"drop": texts}),
	})
	podSecurity = object(map[string]allow{
		"runAsUser": plain, "runAsGroup": plain, "runAsNonRoot": plain, "fsGroup": plain, "fsGroupChangePolicy": plain,
		"supplementalGroups": texts, "seccompProfile": seccomp,
	})
)

func containerFields(name allow) map[string]allow {
	return map[string]allow{
		"name": name, "image": plain, "imagePullPolicy": plain, "command": texts, "args": texts, "workingDir": plain,
		"env":   each(object(map[string]allow{"name": plain, "value": plain}), 1000),
		"ports": each(object(map[string]allow{"name": plain, "containerPort": plain, "protocol": plain}), 100),
		"volumeMounts": each(object(map[string]allow{"name": notOurs, "mountPath": notAgentDir, "subPath": plain,
			"readOnly": plain}), 100),
		"resources": resources, "securityContext": containerSecurity, "stdin": plain, "tty": plain,
		"terminationMessagePolicy": plain,
	}
}

// specFields are those of the pod's spec; account is the service account that it may name.
func specFields(account string) map[string]allow {
	named := only("") // matches nothing that is set
	if account != "" {
		named = only(account)
	}
	return map[string]allow{
		"containers":     each(object(containerFields(plain)), maxPodContainers),
		"initContainers": each(object(containerFields(notOurs)), maxPodContainers),
		"volumes": each(object(map[string]allow{"name": notOurs, "emptyDir": object(map[string]allow{
			"medium": only("", "Memory"), "sizeLimit": plain})}), 100),
		"securityContext":               podSecurity,
		"restartPolicy":                 only(string(corev1.RestartPolicyNever)),
		"terminationGracePeriodSeconds": within(0, maxGrace),
		"activeDeadlineSeconds":         within(1, maxPodLife),
		"dnsPolicy":                     only(string(corev1.DNSClusterFirst), string(corev1.DNSDefault)),
		"hostAliases":                   each(object(map[string]allow{"ip": plain, "hostnames": texts}), 100),
		"enableServiceLinks":            plain,
		"automountServiceAccountToken":  only(false),
		"serviceAccountName":            named,
		"serviceAccount":                named,
		"nodeSelector":                  keys(isPlatform),
	}
}

// ofJenkinsfile are the rules for the pod document of a Jenkinsfile.
func ofJenkinsfile(account string) allow {
	return object(map[string]allow{
		"apiVersion": only("v1"), "kind": only("Pod"), "status": dropped, // empty: a strict reader has seen it
		"metadata": object(map[string]allow{"name": dropped, "generateName": dropped, "creationTimestamp": dropped,
			"labels": keys(harmlessLabel), "annotations": keys(harmlessAnnotation)}),
		"spec": object(specFields(account)),
	})
}

// whole takes a value as it is.
func whole(_ string, v any, _ *findings) any { return v }

// ofTemplate are the rules for templates that Jenkinsfiles may add to: the same, and what an operator may decide without
// that it gives more rights to the containers that are added.
func ofTemplate() allow {
	container := containerFields(whole)
	for _, name := range []string{"terminationMessagePath", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle", "restartPolicy", "resizePolicy"} {
		container[name] = whole
	}
	container["volumeMounts"], container["resources"] = whole, whole
	ofPod := object(map[string]allow{"fieldRef": whole, "resourceFieldRef": whole})
	container["env"] = each(object(map[string]allow{"name": whole, "value": whole, "valueFrom": ofPod}), 1000)
	spec := specFields("")
	for _, name := range []string{"nodeSelector", "tolerations", "affinity", "topologySpreadConstraints", "priorityClassName", "priority", "preemptionPolicy",
		"runtimeClassName", "schedulerName", "dnsPolicy", "dnsConfig", "activeDeadlineSeconds", "terminationGracePeriodSeconds", "automountServiceAccountToken",
		"serviceAccountName", "serviceAccount", "hostAliases", "restartPolicy", "hostname", "subdomain"} {
		spec[name] = whole
	}
	spec["containers"] = each(object(container), maxPodContainers)
	spec["initContainers"] = spec["containers"]
	spec["volumes"] = each(object(map[string]allow{"name": whole, "emptyDir": whole}), 100)
	return object(map[string]allow{"apiVersion": whole, "kind": whole, "metadata": whole, "status": dropped, "spec": object(spec)})
}

var errTwoDocuments = errors.New("it has more than one document")

// strictPod reads a pod document; unknown fields are errors.
func strictPod(doc string) (*corev1.Pod, error) {
	if len(doc) > maxPodYAML {
		return nil, fmt.Errorf("it has more than %d KiB", maxPodYAML>>10)
	}
	docs := utilyaml.NewYAMLReader(bufio.NewReader(strings.NewReader(doc)))
	var one []byte
	for {
		part, err := docs.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read: %w", err)
		}
		if len(bytes.TrimSpace(part)) == 0 {
			continue
		}
		if one != nil {
			return nil, errTwoDocuments
		}
		one = part
	}
	var pod corev1.Pod
	if err := yaml.UnmarshalStrict(one, &pod); err != nil {
		return nil, fmt.Errorf("it cannot be read: %w", err)
	}
	return &pod, nil
}

// treeOf is a pod as a tree of what is set in it.
func treeOf(pod *corev1.Pod) (map[string]any, error) {
	data, err := json.Marshal(pod)
	if err != nil {
		return nil, fmt.Errorf("encode pod: %w", err)
	}
	var tree map[string]any
	if err := json.Unmarshal(data, &tree); err != nil {
		return nil, fmt.Errorf("decode pod: %w", err)
	}
	return withoutNulls(tree).(map[string]any), nil
}

// withoutNulls leaves out what is null. In a patch that would delete.
func withoutNulls(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			if x == nil {
				delete(v, k)
				continue
			}
			v[k] = withoutNulls(x)
		}
	case []any:
		for i := range v {
			v[i] = withoutNulls(v[i])
		}
	}
	return v
}

// take gives what the rules let pass of a pod; the error names what they do not.
func take(pod *corev1.Pod, rules allow) (*corev1.Pod, error) {
	tree, err := treeOf(pod)
	if err != nil {
		return nil, err
	}
	var found findings
	kept := rules("", tree, &found)
	if len(found.texts) > 0 {
		return nil, errors.New(strings.Join(found.texts, "; "))
	}
	data, err := json.Marshal(kept)
	if err != nil {
		return nil, fmt.Errorf("encode pod: %w", err)
	}
	out := &corev1.Pod{}
	if err := json.Unmarshal(data, out); err != nil {
		return nil, fmt.Errorf("decode pod: %w", err)
	}
	return out, nil
}
