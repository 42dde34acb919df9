// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// leaf is one field of a pod that can be set.
type leaf struct {
	path string
	set  func(pod *corev1.Pod)
}

// leaves are all fields below a type; at gives the value to set in a pod.
func leaves(typ reflect.Type, path string, depth int, at func(*corev1.Pod) reflect.Value) []leaf {
	step := func(change func(reflect.Value) reflect.Value) func(*corev1.Pod) reflect.Value {
		return func(p *corev1.Pod) reflect.Value { return change(at(p)) }
	}
	one := func(v any) []leaf {
		return []leaf{{path, func(p *corev1.Pod) { at(p).Set(reflect.ValueOf(v).Convert(typ)) }}}
	}
	switch typ {
	case reflect.TypeFor[resource.Quantity]():
		return one(resource.MustParse("7"))
	case reflect.TypeFor[metav1.Time]():
		return one(metav1.Unix(7, 0))
	case reflect.TypeFor[metav1.FieldsV1]():
		return one(*metav1.NewFieldsV1("{}"))
	}
	switch typ.Kind() {
	case reflect.Pointer:
		return leaves(typ.Elem(), path, depth, step(func(v reflect.Value) reflect.Value {
			if v.IsNil() {
				v.Set(reflect.New(typ.Elem()))
			}
			return v.Elem()
		}))
	case reflect.Slice:
		return leaves(typ.Elem(), path+"[]", depth, step(func(v reflect.Value) reflect.Value {
			if v.Len() == 0 {
				v.Set(reflect.MakeSlice(typ, 1, 1))
			}
			return v.Index(0)
		}))
	case reflect.Map:
		return []leaf{{path + "[x.example/y]", func(p *corev1.Pod) {
			m := reflect.MakeMap(typ)
			value := reflect.New(typ.Elem()).Elem()
			switch value.Kind() {
			case reflect.String:
				value.SetString("x")
			case reflect.Struct:
				value.Set(reflect.ValueOf(resource.MustParse("7")))
			}
			m.SetMapIndex(reflect.ValueOf("x.example/y").Convert(typ.Key()), value)
			at(p).Set(m)
		}}}
	case reflect.Struct:
		var out []leaf
		for i := range typ.NumField() {
			f := typ.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			below := strings.TrimPrefix(path+"."+name, ".")
			if name == "" {
				below = path
			}
			if depth < 12 {
				out = append(out, leaves(f.Type, below, depth+1, step(func(v reflect.Value) reflect.Value { return v.Field(i) }))...)
			}
		}
		return out
	case reflect.String:
		return one("x")
	case reflect.Bool:
		return one(true)
	}
	return one(7)
}

// acceptedFields are all fields of a pod, with any value, that a Jenkinsfile may set.
var acceptedFields = strings.Fields(`
	spec.containers[].args[] spec.containers[].command[] spec.containers[].env[].name spec.containers[].env[].value spec.containers[].image
	spec.containers[].imagePullPolicy spec.containers[].name spec.containers[].ports[].containerPort spec.containers[].ports[].name
	spec.containers[].ports[].protocol spec.containers[].securityContext.capabilities.drop[] spec.containers[].securityContext.readOnlyRootFilesystem
	spec.containers[].securityContext.runAsGroup spec.containers[].securityContext.runAsNonRoot spec.containers[].securityContext.runAsUser
	spec.containers[].stdin spec.containers[].terminationMessagePolicy spec.containers[].tty spec.containers[].volumeMounts[].name
	spec.containers[].volumeMounts[].readOnly spec.containers[].volumeMounts[].subPath spec.containers[].workingDir
	spec.activeDeadlineSeconds spec.enableServiceLinks spec.hostAliases[].hostnames[] spec.hostAliases[].ip
	spec.securityContext.fsGroup spec.securityContext.fsGroupChangePolicy spec.securityContext.runAsGroup spec.securityContext.runAsNonRoot
	spec.securityContext.runAsUser spec.securityContext.supplementalGroups[] spec.terminationGracePeriodSeconds
	spec.volumes[].emptyDir.sizeLimit spec.volumes[].name`)

// TestAcceptedFields sets each field that a pod can have, and only it: what is accepted is listed here. A field that a new version of
// Kubernetes brings has to be refused.
func TestAcceptedFields(t *testing.T) {
	var accepted []string
	all := leaves(reflect.TypeFor[corev1.Pod](), "", 0, func(p *corev1.Pod) reflect.Value { return reflect.ValueOf(p).Elem() })
	if len(all) < 700 {
		t.Fatalf("only %d fields were found", len(all))
	}
	for _, l := range all {
		pod := &corev1.Pod{}
		l.set(pod)
		// What a container and a mount need beside.
		for _, list := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
			for i := range list {
				for j := range list[i].VolumeMounts {
					if m := &list[i].VolumeMounts[j]; m.MountPath == "" {
						m.MountPath = "/x"
					}
				}
			}
		}
		kept, err := take(pod, ofJenkinsfile(""))
		if err != nil {
			continue
		}
		data, _ := json.Marshal(kept)
		empty, _ := json.Marshal(&corev1.Pod{})
		if !slices.Equal(data, empty) {
			accepted = append(accepted, l.path)
		}
	}
	want := slices.Clone(acceptedFields)
	for _, f := range acceptedFields {
		if in, ok := strings.CutPrefix(f, "spec.containers"); ok {
			want = append(want, "spec.initContainers"+in)
		}
	}
	slices.Sort(accepted)
	slices.Sort(want)
	if d := cmp.Diff(want, accepted); d != "" {
		t.Errorf("fields that a Jenkinsfile may set (-listed +accepted):\n%s", d)
	}
}

// refusedPods are pods of Jenkinsfiles by what the error has to say. "C" is a container.
var refusedPods = map[string]string{
	"spec.hostNetwork is not allowed":                                         "spec: {hostNetwork: true}",
	"spec.hostPID is not allowed":                                             "spec: {hostPID: true}",
	"spec.hostIPC is not allowed":                                             "spec: {hostIPC: true}",
	"spec.hostUsers is not allowed":                                           "spec: {hostUsers: true}",
	"spec.shareProcessNamespace is not allowed":                               "spec: {shareProcessNamespace: true}",
	"metadata.namespace is not allowed":                                       "metadata: {namespace: kube-system}",
	"metadata.ownerReferences is not allowed":                                 "metadata: {ownerReferences: [{apiVersion: v1, kind: Pod, name: a, uid: b}]}",
	"metadata.finalizers is not allowed":                                      "metadata: {finalizers: [a/b]}",
	"metadata.labels[slipway.dev/project] is not allowed":                     "metadata: {labels: {slipway.dev/project: other}}",
	"metadata.labels[jenkins] is not allowed":                                 "metadata: {labels: {jenkins: x}}",
	"metadata.labels[jenkins/label] is not allowed":                           "metadata: {labels: {jenkins/label: x}}",
	"metadata.labels[azure.workload.identity/use] is not allowed":             "metadata: {labels: {azure.workload.identity/use: 'true'}}",
	"metadata.annotations[slipway.dev/agent] is not allowed":                  "metadata: {annotations: {slipway.dev/agent: '{}'}}",
	"metadata.annotations[k8s.v1.cni.cncf.io/networks] is not allowed":        "metadata: {annotations: {k8s.v1.cni.cncf.io/networks: other}}",
	"metadata.annotations[vault.hashicorp.com/agent-inject] is not allowed":   "metadata: {annotations: {vault.hashicorp.com/agent-inject: 'true'}}",
	"metadata.annotations[container.apparmor.security.beta.kubernetes.io/c]":  "metadata: {annotations: {container.apparmor.security.beta.kubernetes.io/c: unconfined}}",
	"spec.serviceAccountName may only be":                                     "spec: {serviceAccountName: admin}",
	"spec.serviceAccount may only be":                                         "spec: {serviceAccount: admin}",
	"spec.automountServiceAccountToken may only be false":                     "spec: {automountServiceAccountToken: true}",
	"spec.nodeName is not allowed":                                            "spec: {nodeName: master}",
	"spec.nodeSelector[node-role] is not allowed":                             "spec: {nodeSelector: {node-role: master}}",
	"spec.tolerations is not allowed":                                         "spec: {tolerations: [{operator: Exists}]}",
	"spec.affinity is not allowed":                                            "spec: {affinity: {}}",
	"spec.topologySpreadConstraints is not allowed":                           "spec: {topologySpreadConstraints: [{maxSkew: 1, topologyKey: a, whenUnsatisfiable: DoNotSchedule}]}",
	"spec.priorityClassName is not allowed":                                   "spec: {priorityClassName: system-node-critical}",
	"spec.priority is not allowed":                                            "spec: {priority: 5}",
	"spec.runtimeClassName is not allowed":                                    "spec: {runtimeClassName: other}",
	"spec.schedulerName is not allowed":                                       "spec: {schedulerName: mine}",
	"spec.imagePullSecrets is not allowed":                                    "spec: {imagePullSecrets: [{name: other}]}",
	"spec.ephemeralContainers is not allowed":                                 "spec: {ephemeralContainers: [{name: e}]}",
	"spec.readinessGates is not allowed":                                      "spec: {readinessGates: [{conditionType: a}]}",
	"spec.overhead is not allowed":                                            "spec: {overhead: {cpu: 1}}",
	"spec.resourceClaims is not allowed":                                      "spec: {resourceClaims: [{name: gpu}]}",
	"spec.restartPolicy may only be Never":                                    "spec: {restartPolicy: Always}",
	"spec.dnsPolicy may only be":                                              "spec: {dnsPolicy: ClusterFirstWithHostNet}",
	"spec.dnsConfig is not allowed":                                           "spec: {dnsConfig: {nameservers: [1.2.3.4]}}",
	"spec.terminationGracePeriodSeconds must be from 0 to 120":                "spec: {terminationGracePeriodSeconds: 86400}",
	"spec.activeDeadlineSeconds must be from 1 to 86400":                      "spec: {activeDeadlineSeconds: 9000000}",
	"spec.securityContext.sysctls is not allowed":                             "spec: {securityContext: {sysctls: [{name: kernel.msgmax, value: '1'}]}}",
	"spec.securityContext.seLinuxOptions is not allowed":                      "spec: {securityContext: {seLinuxOptions: {type: spc_t}}}",
	"spec.securityContext.seccompProfile.type may only be RuntimeDefault":     "spec: {securityContext: {seccompProfile: {type: Unconfined}}}",
	"spec.securityContext.appArmorProfile is not allowed":                     "spec: {securityContext: {appArmorProfile: {type: Unconfined}}}",
	"spec.volumes[0].hostPath is not allowed":                                 "spec: {volumes: [{name: v, hostPath: {path: /}}]}",
	"spec.volumes[0].secret is not allowed":                                   "spec: {volumes: [{name: v, secret: {secretName: other}}]}",
	"spec.volumes[0].configMap is not allowed":                                "spec: {volumes: [{name: v, configMap: {name: other}}]}",
	"spec.volumes[0].projected is not allowed":                                "spec: {volumes: [{name: v, projected: {sources: [{serviceAccountToken: {path: t}}]}}]}",
	"spec.volumes[0].persistentVolumeClaim is not allowed":                    "spec: {volumes: [{name: v, persistentVolumeClaim: {claimName: other}}]}",
	"spec.volumes[0].ephemeral is not allowed":                                "spec: {volumes: [{name: v, ephemeral: {}}]}",
	"spec.volumes[0].csi is not allowed":                                      "spec: {volumes: [{name: v, csi: {driver: secrets-store.csi.k8s.io}}]}",
	"spec.volumes[0].nfs is not allowed":                                      "spec: {volumes: [{name: v, nfs: {server: a, path: /}}]}",
	"spec.volumes[0].downwardAPI is not allowed":                              "spec: {volumes: [{name: v, downwardAPI: {}}]}",
	"spec.volumes[0].image is not allowed":                                    "spec: {volumes: [{name: v, image: {reference: a}}]}",
	"spec.volumes[0].emptyDir.medium may only be":                             "spec: {volumes: [{name: v, emptyDir: {medium: HugePages}}]}",
	"spec.volumes[0].name must not begin with \"slipway\"":                    "spec: {volumes: [{name: slipway-agent, emptyDir: {}}]}",
	"spec.containers[0].securityContext.privileged may only be false":         "C: {securityContext: {privileged: true}}",
	"spec.containers[0].securityContext.allowPrivilegeEscalation may only be": "C: {securityContext: {allowPrivilegeEscalation: true}}",
	"spec.containers[0].securityContext.capabilities.add is not allowed":      "C: {securityContext: {capabilities: {add: [SYS_ADMIN]}}}",
	"spec.containers[0].securityContext.procMount is not allowed":             "C: {securityContext: {procMount: Unmasked}}",
	"spec.containers[0].securityContext.windowsOptions is not allowed":        "C: {securityContext: {windowsOptions: {hostProcess: true}}}",
	"spec.containers[0].ports[0].hostPort is not allowed":                     "C: {ports: [{containerPort: 80, hostPort: 80}]}",
	"spec.containers[0].ports[0].hostIP is not allowed":                       "C: {ports: [{containerPort: 80, hostIP: 0.0.0.0}]}",
	"spec.containers[0].envFrom is not allowed":                               "C: {envFrom: [{secretRef: {name: other}}]}",
	"spec.containers[0].env[0].valueFrom is not allowed":                      "C: {env: [{name: A, valueFrom: {secretKeyRef: {name: other, key: k}}}]}",
	"spec.containers[0].lifecycle is not allowed":                             "C: {lifecycle: {postStart: {exec: {command: [a]}}}}",
	"spec.containers[0].livenessProbe is not allowed":                         "C: {livenessProbe: {tcpSocket: {port: 1, host: other}}}",
	"spec.containers[0].volumeDevices is not allowed":                         "C: {volumeDevices: [{name: a, devicePath: /dev/a}]}",
	"spec.containers[0].volumeMounts[0].mountPropagation is not allowed":      "C: {volumeMounts: [{name: v, mountPath: /v, mountPropagation: Bidirectional}]}",
	"spec.containers[0].volumeMounts[0].subPathExpr is not allowed":           "C: {volumeMounts: [{name: v, mountPath: /v, subPathExpr: $(A)}]}",
	"spec.containers[0].volumeMounts[0].name must not begin with":             "C: {volumeMounts: [{name: slipway, mountPath: /v}]}",
	"spec.containers[0].volumeMounts[0].mountPath must be":                    "C: {volumeMounts: [{name: v, mountPath: /opt/x/../slipway}]}",
	"spec.containers[0].resources.limits[example.com/device] is not allowed":  "C: {resources: {limits: {example.com/device: 1}}}",
	"spec.containers[0].resources.claims is not allowed":                      "C: {resources: {claims: [{name: gpu}]}}",
	"spec.containers has more than 20 entries":                                "spec: {containers: [" + strings.Repeat("{name: a},", 21) + "]}",
	"spec.initContainers[0].restartPolicy is not allowed":                     "spec: {initContainers: [{name: i, restartPolicy: Always}]}",
	"spec.initContainers[0].securityContext.privileged may only be false":     "spec: {initContainers: [{name: i, securityContext: {privileged: true}}]}",
	"spec.initContainers[0].name must not begin with":                         "spec: {initContainers: [{name: slipway-copy}]}",
	"kind may only be Pod":                                                    "kind: Secret",
	"apiVersion may only be v1":                                               "apiVersion: v2",
	"unknown field \"nosuch\"":                                                "spec: {nosuch: 1}",
	"unknown field \"$patch\"":                                                "C: {$patch: replace}",
	"already set":                                                             "kind: Pod\nkind: Pod",
	"it has more than one document":                                           "kind: Pod\n---\nspec: {hostNetwork: true}",
	"it cannot be read":                                                       "{",
	"cannot unmarshal":                                                        "spec: 5",
	"it has more than 256 KiB":                                                "# " + strings.Repeat("x", 300<<10),
	"spec.hostNetwork is not":                                                 "spec: {HOSTNETWORK: true}",
}

func TestRefusedPods(t *testing.T) {
	for want, doc := range refusedPods {
		t.Run(want, func(t *testing.T) {
			if c, ok := strings.CutPrefix(doc, "C: {"); ok {
				doc = "spec: {containers: [{name: c, " + strings.TrimSuffix(c, "}") + "}]}"
			}
			_, err := readPod("the pod YAML", doc, "")
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v", err)
			}
		})
	}
	// A list of all that is wrong is better than one after the other, but not without end.
	_, err := readPod("the pod YAML", "spec: {hostNetwork: true, containers: ["+strings.Repeat("{name: a, stdinOnce: true},", 15)+"]}", "")
	if n := strings.Count(err.Error(), "; "); n != maxFindings-1 {
		t.Errorf("%d findings: %v", n, err)
	}
}

// TestHarmlessPods: what people write in their Jenkinsfiles.
func TestHarmlessPods(t *testing.T) {
	for reason, doc := range map[string]string{
		"of the plugin's README":   "apiVersion: v1\nkind: Pod\nmetadata:\n  labels:\n    some-label: some-label-value\nspec:\n  containers:\n  - name: maven\n    image: maven:3.9\n    command: [cat]\n    tty: true\n",
		"with a marker before it":  "---\nkind: Pod\nspec: {containers: [{name: a, image: b}]}\n",
		"a name that is not taken": "metadata: {name: my-pod, generateName: x-}\nspec: {restartPolicy: Never, automountServiceAccountToken: false}",
		"sized":                    "spec: {containers: [{name: a, image: b, resources: {requests: {cpu: 500m, memory: 1Gi}, limits: {memory: 2Gi, ephemeral-storage: 1Gi}}}]}",
		"with volumes":             "spec: {volumes: [{name: m2, emptyDir: {medium: Memory, sizeLimit: 1Gi}}], containers: [{name: a, image: b, volumeMounts: [{name: m2, mountPath: /root/.m2}]}]}",
		"not privileged":           "spec: {hostNetwork: false, nodeSelector: {kubernetes.io/arch: arm64}, containers: [{name: a, image: b, securityContext: {privileged: false, runAsUser: 0}}]}",
		"empty":                    "",
	} {
		if _, err := readPod("the pod YAML", doc, ""); err != nil {
			t.Errorf("%s: %v", reason, err)
		}
	}
	if _, err := readPod("the pod YAML", "spec: {serviceAccountName: ci}", "ci"); err != nil {
		t.Errorf("the account of the template: %v", err)
	}
}
