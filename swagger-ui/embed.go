// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package swaggerui holds the web page that shows the API's description and lets a user try it. The
// files in dist come from the npm package swagger-ui-dist, but for index.html and slipway.js.
package swaggerui

import (
	"embed"
	"io/fs"
)

//go:embed dist
var files embed.FS

// FS gives the files of the page, index.html at its root.
func FS() fs.FS {
	dist, err := fs.Sub(files, "dist")
	if err != nil {
		// The folder is part of the program: fs.Sub fails on an invalid name only.
		panic(err)
	}
	return dist
}

// ContentSecurityPolicy lets the page load what the server itself serves and nothing else. Swagger UI
// sets style attributes and uses images in data URLs.
const ContentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; " +
	"img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
