// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package history

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxText bounds a text that is unpacked, in bytes: a Pipeline takes a Jenkinsfile of 1,048,576 characters of up to four bytes.
const maxText = 4 << 20

// content is the data of a ControllerRevision, which must be a JSON object.
type content struct {
	// Jenkinsfile is the text, compressed by gzip.
	Jenkinsfile []byte `json:"jenkinsfile"`
}

func pack(text string) ([]byte, error) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, text); err != nil {
		return nil, fmt.Errorf("compress the Jenkinsfile: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("compress the Jenkinsfile: %w", err)
	}
	data, err := json.Marshal(content{b.Bytes()})
	if err != nil {
		return nil, fmt.Errorf("encode the Jenkinsfile: %w", err)
	}
	return data, nil
}

func unpack(data []byte) (string, error) {
	var c content
	if err := json.Unmarshal(data, &c); err != nil {
		return "", fmt.Errorf("decode the Jenkinsfile: %w", err)
	}
	r, err := gzip.NewReader(bytes.NewReader(c.Jenkinsfile))
	if err != nil {
		return "", fmt.Errorf("decompress the Jenkinsfile: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(r, maxText+1))
	if err != nil {
		return "", fmt.Errorf("decompress the Jenkinsfile: %w", err)
	}
	if len(text) > maxText {
		return "", errors.New("decompress the Jenkinsfile: it is larger than a Pipeline takes")
	}
	return string(text), nil
}
