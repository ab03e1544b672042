//go:build tools

// Package tools names the command that is built here, so that go.mod and go.sum pin it.
package tools

import _ "github.com/fluxcd/source-controller"
