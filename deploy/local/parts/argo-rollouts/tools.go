//go:build tools

// Package tools names the command that the local stack builds, so that
// go.mod and go.sum pin every module it needs.
package tools

import _ "github.com/argoproj/argo-rollouts/cmd/rollouts-controller"
