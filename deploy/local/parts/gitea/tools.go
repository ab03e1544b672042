//go:build tools

// Package tools names the commands that the local stack builds, so that
// go.mod and go.sum pin every module they need.
package tools

import (
	_ "code.gitea.io/gitea"
)
