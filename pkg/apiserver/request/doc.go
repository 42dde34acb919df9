// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package request reads what a request says about itself: what it addresses (Info), who sent it, and
// its JSON body. The filters put the first two into the request's context, handlers take them from
// there.
package request
