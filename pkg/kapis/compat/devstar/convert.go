// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package devstar

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	devcontainerv1 "github.com/slipway-dev/slipway/pkg/apis/devcontainer/v1"
	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
)

const (
	// nameHash is how many hexadecimal digits end a dev container's name, as in DevStar.
	nameHash = 32
	// nameLimit keeps the name short enough for a StatefulSet's pods.
	nameLimit = 52
	// idBits keeps numbers exact in JavaScript.
	idBits = 53
)

// newApp builds the dev container of a user for a repository.
func newApp(user string, repository *devopsv1alpha3.GitRepository, image string, keys []string) *devcontainerv1.DevcontainerApp {
	return &devcontainerv1.DevcontainerApp{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: repository.Namespace,
			Name:      appName(user, repository),
			Labels: map[string]string{
				devcontainerv1.OwnerLabel:  ownerLabel(user),
				devcontainerv1.RepoIDLabel: repository.Labels[devcontainerv1.RepoIDLabel],
			},
			Annotations: map[string]string{
				devcontainerv1.OwnerAnnotation: user,
				devcontainerv1.RepoAnnotation:  repository.Namespace + "/" + repository.Name,
			},
		},
		Spec: devcontainerv1.DevcontainerAppSpec{StatefulSet: devcontainerv1.StatefulSetSpec{
			Image: image, GitRepositoryURL: repository.Spec.URL, SSHPublicKeyList: keys,
		}},
	}
}

// appName is <user>-<repository>-<hash>, in the letters of a DNS label. The hash is over both full
// names, so that different users and repositories never share a dev container.
func appName(user string, repository *devopsv1alpha3.GitRepository) string {
	sum := sha256.Sum256([]byte(user + "\x00" + repository.Namespace + "/" + repository.Name))
	head := strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(user+"-"+repository.Name)), "-")
	if limit := nameLimit - nameHash - 1; len(head) > limit {
		head = strings.Trim(head[:limit], "-")
	}
	return strings.TrimPrefix(head+"-"+hex.EncodeToString(sum[:])[:nameHash], "-")
}

// ownerLabel is a label value for a user's name of any length and letters.
func ownerLabel(user string) string {
	sum := sha256.Sum256([]byte(user))
	return hex.EncodeToString(sum[:])[:40]
}

// userID is a number for a user's name: DevStar's users have one, ours have names only.
func userID(user string) int64 { return number("user", user) }

// number makes a positive number from a text.
func number(kind, text string) int64 {
	sum := sha256.Sum256([]byte(kind + "\x00" + text))
	return int64(binary.BigEndian.Uint64(sum[:8]) >> (64 - idBits))
}

// repoName is the repository's name as people know it.
func repoName(repository *devopsv1alpha3.GitRepository) string {
	if repository.Spec.Repo != "" {
		return repository.Spec.Repo
	}
	return repository.Name
}

func (h *Handler) convert(app *devcontainerv1.DevcontainerApp, repository *devopsv1alpha3.GitRepository) DevContainer {
	host := h.config.Host
	if host == "" {
		host = app.Status.NodeIP
	}
	owner := repository.Spec.Owner
	if owner == "" {
		owner = repository.Namespace
	}
	// The label was written by us from a parsed number; one that is not a number shows as 0.
	repoID, _ := strconv.ParseInt(repository.Labels[devcontainerv1.RepoIDLabel], 10, 64)
	return DevContainer{
		ID: number("devcontainer", string(app.UID)), Name: app.Name, Host: host, Username: username, WorkDir: workDir,
		RepoID: repoID, RepoName: repoName(repository), RepoOwnerName: owner,
		RepoLink: "/" + owner + "/" + repoName(repository), RepoDescription: repository.Spec.Description,
	}
}

// parseRepoID reads a repository's number.
func parseRepoID(text string) (int64, error) {
	switch {
	case text == "":
		return 0, invalid("repoId is missing: it is the number of the repository")
	case len(text) > maxRepoIDDigits:
		return 0, invalid("repoId has %d characters: a repository's number has at most %d digits", len(text), maxRepoIDDigits)
	}
	for _, r := range text {
		if r < '0' || r > '9' {
			return 0, invalid("repoId %q is not a number", text)
		}
	}
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id == 0 {
		return 0, invalid("repoId %q is not the number of a repository: they count from 1", text)
	}
	return id, nil
}

func parseBool(name, text string) (bool, error) {
	if text == "" {
		return false, nil
	}
	value, err := strconv.ParseBool(text)
	if err != nil {
		return false, invalid("%s must be true or false, not %q", name, text)
	}
	return value, nil
}

func parseInt(name, text string, standard int) (int, error) {
	if text == "" {
		return standard, nil
	}
	value, err := strconv.Atoi(text)
	if err != nil || value < 1 || value > 1<<30 {
		return 0, invalid("%s must be a number from 1, not %q", name, text)
	}
	return value, nil
}
