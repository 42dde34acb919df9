// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package resources

import (
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	devcontainerv1 "github.com/slipway-dev/slipway/pkg/apis/devcontainer/v1"
)

// Places in the pod.
const (
	// WorkDir is where the volume is mounted, the repository cloned and a login begins.
	WorkDir = "/data"
	// AgentDir is where slipway-agent is copied to.
	AgentDir = "/opt/slipway"
	// Agent is slipway-agent in a container that mounts AgentDir.
	Agent = AgentDir + "/slipway-agent"
	// AgentInImage is slipway-agent in its own image.
	AgentInImage = "/slipway-agent"
	// KeysDir is where the Secret with the SSH keys is mounted.
	KeysDir = "/etc/slipway/keys"
)

// Names of containers.
const (
	// CopyContainer is the init container that brings slipway-agent.
	CopyContainer = "copy"
	// CloneContainer is the init container that clones the repository.
	CloneContainer = "clone"
	// DevContainer is the main container.
	DevContainer = "dev"
)

// Names of volumes.
const (
	// DataVolume is the volume of the work directory.
	DataVolume  = "data"
	agentVolume = "slipway"
	keysVolume  = "keys"
)

// EnvPrefix begins the names of the variables that slipway-agent reads; a user's variables of such a
// name are dropped.
const EnvPrefix = "SLIPWAY_"

// gitURLEnv tells slipway-agent what to clone.
const gitURLEnv = EnvPrefix + "GIT_URL"

const (
	defaultPort      int32 = 22
	gracePeriod      int64 = 10 // seconds; shells end at once, and a user waits for a restart
	revisionsKept    int32 = 2
	secretMode       int32 = 0o400
	probeSeconds     int32 = 1
	probeFailures    int32 = 3
	secondsToAttempt int32 = 1
)

// PodOptions are what the pod depends on beside the app.
type PodOptions struct {
	// AgentImage is the image of slipway-agent. Required.
	AgentImage string
	// RunAsUser is the user of the containers; nil leaves it to the image.
	RunAsUser *int64
	// Ephemeral keeps the files in the pod: there is no StorageClass for a volume.
	Ephemeral bool
}

// StatefulSet runs the one pod of the app.
func StatefulSet(app *devcontainerv1.DevcontainerApp, opts PodOptions) *appsv1.StatefulSet {
	replicas := int32(1)
	if app.Spec.RunState == devcontainerv1.Stopped {
		replicas = 0
	}
	return &appsv1.StatefulSet{
		ObjectMeta: objectMeta(app, Name(app)),
		Spec: appsv1.StatefulSetSpec{
			Replicas:    &replicas,
			Selector:    &metav1.LabelSelector{MatchLabels: Selector(app)},
			ServiceName: Name(app),
			// With OrderedReady a pod that never gets ready would not be replaced by the one of a
			// corrected spec.
			PodManagementPolicy:  appsv1.ParallelPodManagement,
			UpdateStrategy:       appsv1.StatefulSetUpdateStrategy{Type: appsv1.RollingUpdateStatefulSetStrategyType},
			RevisionHistoryLimit: new(revisionsKept),
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{
					Labels:      Labels(app),
					Annotations: map[string]string{AppNameAnnotation: app.Name},
				},
				Spec: podSpec(app, opts),
			},
		},
	}
}

func podSpec(app *devcontainerv1.DevcontainerApp, opts PodOptions) corev1.PodSpec {
	spec := corev1.PodSpec{
		// The user is root in the container: no token of the cluster may be there.
		AutomountServiceAccountToken:  new(false),
		EnableServiceLinks:            new(false),
		TerminationGracePeriodSeconds: new(gracePeriod),
		SecurityContext: &corev1.PodSecurityContext{
			RunAsUser:      opts.RunAsUser,
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		InitContainers: []corev1.Container{copyContainer(opts.AgentImage)},
		Containers:     []corev1.Container{devContainer(app)},
		Volumes:        volumes(app, opts.Ephemeral),
	}
	if app.Spec.StatefulSet.GitRepositoryURL != "" {
		spec.InitContainers = append(spec.InitContainers, cloneContainer(app))
	}
	return spec
}

func copyContainer(image string) corev1.Container {
	return corev1.Container{
		Name:                     CopyContainer,
		Image:                    image,
		ImagePullPolicy:          corev1.PullIfNotPresent,
		Command:                  []string{AgentInImage, "copy", AgentDir},
		Resources:                InitResources(),
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
		VolumeMounts:             []corev1.VolumeMount{{Name: agentVolume, MountPath: AgentDir}},
	}
}

// InitResources are those of the init container that copies slipway-agent. They have both limits: a
// ResourceQuota on limits refuses a pod with a container that names none.
func InitResources() corev1.ResourceRequirements {
	return corev1.ResourceRequirements{
		Requests: corev1.ResourceList{
			corev1.ResourceCPU:    resource.MustParse("10m"),
			corev1.ResourceMemory: resource.MustParse("32Mi"),
		},
		Limits: corev1.ResourceList{
			corev1.ResourceCPU:    resource.MustParse("1"),
			corev1.ResourceMemory: resource.MustParse("128Mi"),
		},
	}
}

// cloneContainer clones in the user's own image: the files get the owner that the main container
// has, and the image's certificate authorities are those of the user's company.
func cloneContainer(app *devcontainerv1.DevcontainerApp) corev1.Container {
	return corev1.Container{
		Name:            CloneContainer,
		Image:           app.Spec.StatefulSet.Image,
		ImagePullPolicy: corev1.PullIfNotPresent,
		Command:         []string{Agent, "clone", "--dir=" + WorkDir},
		// The URL may hold a password, which must not be in the arguments of a process. The app's own
		// variables may name a proxy.
		Env:                      append(Env(app, EnvPrefix), corev1.EnvVar{Name: gitURLEnv, Value: verbatim(app.Spec.StatefulSet.GitRepositoryURL)}),
		WorkingDir:               "/",
		Resources:                resourcesOf(app),
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
		VolumeMounts: []corev1.VolumeMount{
			{Name: agentVolume, MountPath: AgentDir, ReadOnly: true},
			{Name: DataVolume, MountPath: WorkDir},
		},
	}
}

func devContainer(app *devcontainerv1.DevcontainerApp) corev1.Container {
	port := Port(app)
	command := []string{
		Agent, "init",
		"--keys-dir=" + KeysDir,
		"--port=" + strconv.Itoa(int(port)),
		"--work-dir=" + WorkDir,
	}
	if len(app.Spec.StatefulSet.Command) > 0 {
		command = append(command, "--")
		for _, arg := range app.Spec.StatefulSet.Command {
			command = append(command, verbatim(arg))
		}
	}
	return corev1.Container{
		Name:            DevContainer,
		Image:           app.Spec.StatefulSet.Image,
		ImagePullPolicy: corev1.PullIfNotPresent,
		Command:         command,
		WorkingDir:      WorkDir,
		Env:             Env(app, EnvPrefix),
		Ports:           []corev1.ContainerPort{{Name: SSHPort, ContainerPort: port, Protocol: corev1.ProtocolTCP}},
		Resources:       resourcesOf(app),
		ReadinessProbe: &corev1.Probe{
			ProbeHandler:     corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromString(SSHPort)}},
			PeriodSeconds:    probeSeconds,
			TimeoutSeconds:   secondsToAttempt,
			FailureThreshold: probeFailures,
		},
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
		VolumeMounts: []corev1.VolumeMount{
			{Name: agentVolume, MountPath: AgentDir, ReadOnly: true},
			{Name: keysVolume, MountPath: KeysDir, ReadOnly: true},
			{Name: DataVolume, MountPath: WorkDir},
		},
	}
}

func volumes(app *devcontainerv1.DevcontainerApp, ephemeral bool) []corev1.Volume {
	data := corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: ClaimName(app)}}
	if ephemeral {
		data = corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}
		if storage := app.Spec.Storage; storage != nil && storage.Size != nil && storage.Size.Sign() > 0 {
			data.EmptyDir.SizeLimit = new(storage.Size.DeepCopy())
		}
	}
	return []corev1.Volume{
		{Name: agentVolume, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
		{Name: keysVolume, VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{
			SecretName: SecretName(app), DefaultMode: new(secretMode),
		}}},
		{Name: DataVolume, VolumeSource: data},
	}
}

// IsEphemeral tells if the StatefulSet keeps the files in the pod.
func IsEphemeral(set *appsv1.StatefulSet) bool {
	for i := range set.Spec.Template.Spec.Volumes {
		if v := &set.Spec.Template.Spec.Volumes[i]; v.Name == DataVolume {
			return v.PersistentVolumeClaim == nil
		}
	}
	return false
}

// Port is the port of the container's SSH server.
func Port(app *devcontainerv1.DevcontainerApp) int32 {
	if app.Spec.StatefulSet.ContainerPort == 0 {
		return defaultPort
	}
	return app.Spec.StatefulSet.ContainerPort
}

// Env gives the app's environment variables apart from those whose name begins with one of the
// reserved prefixes. Values are passed on as they are.
func Env(app *devcontainerv1.DevcontainerApp, reserved ...string) []corev1.EnvVar {
	var env []corev1.EnvVar
next:
	for _, e := range app.Spec.StatefulSet.Env {
		for _, prefix := range reserved {
			if strings.HasPrefix(e.Name, prefix) {
				continue next
			}
		}
		env = append(env, corev1.EnvVar{Name: e.Name, Value: verbatim(e.Value)})
	}
	return env
}

// verbatim protects a text from the kubelet, which reads $(NAME) and $$ in commands and variables.
func verbatim(text string) string { return strings.ReplaceAll(text, "$", "$$") }

// resourcesOf leaves out claims: they name devices of the pod that the app cannot ask for.
func resourcesOf(app *devcontainerv1.DevcontainerApp) corev1.ResourceRequirements {
	return corev1.ResourceRequirements{
		Requests: app.Spec.Resources.Requests.DeepCopy(),
		Limits:   app.Spec.Resources.Limits.DeepCopy(),
	}
}
