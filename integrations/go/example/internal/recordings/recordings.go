// Package recordings restores a package's test recordings with `assets` before its tests run.
package recordings

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

var root string

// Main restores the recordings of the package that is tested, runs its tests and ends the process. When the restore
// fails, no test runs, and what `assets` said is all that is shown. To be called from TestMain.
func Main(m *testing.M) {
	restored, err := restore()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	root = restored
	os.Exit(m.Run())
}

// Root is the recordings root: the folder that a test proxy starts in.
func Root() string { return root }

// restore runs `assets` in the current directory, which is that of the package, and returns the line it prints.
func restore() (string, error) {
	program := os.Getenv("ASSETS_EXE")
	if program == "" {
		program = "assets"
	}
	var stdout bytes.Buffer
	command := exec.Command(program, "restore")
	command.Stdout, command.Stderr = &stdout, os.Stderr
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("no test was run: `%s`: %w", command, err)
	}
	return strings.TrimSpace(stdout.String()), nil
}
