package greetings

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/greetings/internal/recordings"
)

func TestMain(m *testing.M) { recordings.Main(m) }

func TestGreetings(t *testing.T) {
	for _, name := range []string{"hello", "goodbye", "thanks", "sorry"} {
		t.Run(name, func(t *testing.T) {
			// Recordings lie below the root as the package does below the code repo.
			file := filepath.Join(recordings.Root(), "sdk/greetings/tests/recordings", name+".json")
			exchange, err := os.ReadFile(file)
			if err != nil || !strings.Contains(string(exchange), "GET /"+name) {
				t.Errorf("%s: %s, %v", file, exchange, err)
			}
		})
	}
}
