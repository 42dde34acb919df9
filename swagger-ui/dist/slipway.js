// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Starts Swagger UI on the description of the server that served this page. The address is relative,
// so that it works behind a proxy that adds a path prefix.
"use strict";

SwaggerUIBundle({
  dom_id: "#ui",
  url: "../openapi.json",
  layout: "BaseLayout",
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIStandalonePreset],
  deepLinking: true,
  displayOperationId: true,
  displayRequestDuration: true,
  docExpansion: "none",
  filter: true,
  tryItOutEnabled: true,
  // The Authorize dialog takes a token with or without the word in front of it.
  requestInterceptor: (request) => {
    const credential = request.headers.Authorization;
    if (credential && !/\s/.test(credential.trim())) {
      request.headers.Authorization = "Bearer " + credential.trim();
    }
    return request;
  },
  // The server answers for itself; nothing is sent to a validator elsewhere.
  validatorUrl: null,
});
