// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package devstar answers the calls of a DevStar client: temporary SSH key pairs and the dev
// containers of a repository. It is a thin face over the resource DevcontainerApp. Every answer,
// errors too, is HTTP 200 with DevStar's envelope {code, msg, data}.
package devstar

import (
	"encoding/json"
	"net/http"

	ctrl "sigs.k8s.io/controller-runtime"
)

// The codes of DevStar's API description.
const (
	// CodeOK is success.
	CodeOK = 0
	// CodeNotLoggedIn: no token, or one that is not valid.
	CodeNotLoggedIn = 1
	// CodeInvalidParameters: a parameter is missing or not valid.
	CodeInvalidParameters = 11002
	// CodeCreateFailed: the dev container could not be made.
	CodeCreateFailed = 11003
	// CodeOpenFailed: the dev container was not found or is not ready.
	CodeOpenFailed = 11004
	// CodeDeleteFailed: the dev container could not be deleted.
	CodeDeleteFailed = 11005
	// CodeListFailed: the user's dev containers could not be listed.
	CodeListFailed = 11006
	// CodeKeyPairFailed: no key pair could be made.
	CodeKeyPairFailed = 12001
)

// messages are DevStar's texts for its codes; clients show them.
var messages = map[int]string{
	CodeOK:                "操作成功",
	CodeNotLoggedIn:       "未登录,禁止访问",
	CodeInvalidParameters: "无效参数",
	CodeCreateFailed:      "创建 DevContainer 失败",
	CodeOpenFailed:        "打开 DevContainer 失败",
	CodeDeleteFailed:      "删除 DevContainer 失败",
	CodeListFailed:        "查询用户 DevContainer 列表失败",
	CodeKeyPairFailed:     "生成 SSH 密钥对失败",
}

// Envelope is the body of every answer.
type Envelope struct {
	// Code is 0 for success, else one of the error codes.
	Code int `json:"code"`
	// Msg says in words what Code means.
	Msg string `json:"msg"`
	// Data is the result, or {"ErrorMsg": …} for an error that has more to say.
	Data any `json:"data,omitempty"`
}

// ErrorData is the data of an error.
type ErrorData struct {
	// ErrorMsg says what is wrong and what to do.
	ErrorMsg string `json:"ErrorMsg"`
	// KeySize is the key length in bits, only for an error of the key pair call.
	KeySize string `json:"KeySize,omitempty"`
}

// failure is an error with its code.
type failure struct {
	code    int
	message string
}

// Error implements error.
func (f *failure) Error() string { return f.message }

// WriteUnauthorized answers a request that no valid token came with. It is the authentication
// filter's error writer for the paths of this face.
func WriteUnauthorized(w http.ResponseWriter, r *http.Request, reason string) {
	var data any
	if reason != "" {
		data = ErrorData{ErrorMsg: reason}
	}
	write(w, r, Envelope{Code: CodeNotLoggedIn, Msg: messages[CodeNotLoggedIn], Data: data})
}

// WriteError answers a request that a filter refused before it reached this face: a body that is
// too large, an unknown path.
func WriteError(w http.ResponseWriter, r *http.Request, status int, message string) {
	if status == http.StatusUnauthorized {
		WriteUnauthorized(w, r, message)
		return
	}
	code := CodeInvalidParameters
	if status >= http.StatusInternalServerError {
		code = map[string]int{http.MethodPost: CodeCreateFailed, http.MethodDelete: CodeDeleteFailed}[r.Method]
		if code == 0 {
			code = CodeOpenFailed
		}
	}
	write(w, r, Envelope{Code: code, Msg: messages[code], Data: ErrorData{ErrorMsg: message}})
}

func write(w http.ResponseWriter, r *http.Request, envelope Envelope) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	if err := json.NewEncoder(w).Encode(envelope); err != nil {
		ctrl.LoggerFrom(r.Context()).V(4).Info("the client did not take the answer", "err", err)
	}
}
