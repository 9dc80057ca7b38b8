package subnet

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Case is a case of conformance while its subnet runs; see docs/conformance.md.
type Case struct {
	// Router is host:port, plaintext; any credentials pass.
	Router string `json:"router"`
	Model  string `json:"model"`
	Do     struct {
		// Durable is true where it is missing.
		Durable *bool `json:"durable"`
		// StallMs: leave a hoster that is silent for so long; 0 for the client's own time.
		StallMs int        `json:"stallMs"`
		Turns   []CaseTurn `json:"turns"`
	} `json:"do"`

	command *exec.Cmd
	stdin   io.WriteCloser
	lines   *bufio.Reader
}

// CaseTurn has one of both.
type CaseTurn struct {
	Prompt string `json:"prompt"`
	// Live is what goes up in parts, as output `x` comes down.
	Live []float32 `json:"live"`
}

// Report is a record, or how a turn ended.
type Report struct {
	Turn     int       `json:"turn"`
	Position *int64    `json:"position,omitempty"`
	Text     string    `json:"text"`
	Values   []float32 `json:"values,omitempty"`
	End      string    `json:"end,omitempty"`
	Error    string    `json:"error,omitempty"`
}

func conformance(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	root := Root()
	if root == "" {
		t.Skip("only in the repository")
	}
	node := os.Getenv("NODE")
	if node == "" {
		node = "node"
	}
	command := exec.Command(node, append([]string{filepath.Join(root, "libs/testing/dist/conformance/main.js")}, args...)...)
	command.Stderr = os.Stderr
	return command
}

// Cases are the names of all of them.
func Cases(t testing.TB) []string {
	t.Helper()
	listed, err := conformance(t, "list").Output()
	if err != nil {
		t.Fatalf("no cases: %v (npm run build?)", err)
	}
	var names []string
	for _, line := range strings.Split(strings.TrimSpace(string(listed)), "\n") {
		name, _, _ := strings.Cut(line, ":")
		names = append(names, name)
	}
	return names
}

// ServeCase starts the subnet of a case, which ends with the test.
func ServeCase(t testing.TB, name string) *Case {
	t.Helper()
	c := &Case{command: conformance(t, "serve", name)}
	stdin, err := c.command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := c.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.command.Process.Kill() })
	c.stdin, c.lines = stdin, bufio.NewReader(stdout)
	first, err := c.lines.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(first, c)
	}
	if err != nil {
		t.Fatalf("the case did not start: %v %s", err, first)
	}
	return c
}

// Judge tells what was wrong.
func (c *Case) Judge(t testing.TB, reports []Report) []string {
	t.Helper()
	var lines bytes.Buffer
	for _, report := range reports {
		if err := json.NewEncoder(&lines).Encode(report); err != nil {
			t.Fatal(err)
		}
	}
	_, err := lines.WriteTo(c.stdin)
	if err == nil {
		err = c.stdin.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	var verdict struct {
		OK       bool     `json:"ok"`
		Problems []string `json:"problems"`
	}
	if err := json.NewDecoder(c.lines).Decode(&verdict); err != nil {
		t.Fatal(err)
	}
	if err := c.command.Wait(); (err == nil) != verdict.OK {
		t.Fatalf("%v, and %+v", err, verdict)
	}
	return verdict.Problems
}
