// Package subnet starts routers and hosters of this repository for tests, and hurts them.
package subnet

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// Subnet is real processes on loopback, with keys of their own.
type Subnet struct {
	Routers []string `json:"routers"`
	Hosters []string `json:"hosters"`
	// Gateways are those that the option `gateways` asked for.
	Gateways []string `json:"gateways"`
	// Key is the private key of a client.
	Key    string `json:"key"`
	Assets string `json:"assets"`

	stdin io.WriteCloser
	mu    sync.Mutex
	next  int
	wait  map[int]chan Answer
}

// Answer is what came of a command.
type Answer struct {
	ID       int      `json:"id"`
	Error    string   `json:"error"`
	Fault    string   `json:"fault"`
	Hoster   string   `json:"hoster"`
	Model    string   `json:"model"`
	AfterMs  int      `json:"afterMs"`
	Findings []string `json:"findings"`
}

// Fault is what is done; see test/faults/schedule.ts.
type Fault struct {
	Kind   string `json:"kind"`
	DownMs int    `json:"downMs"`
	Ms     int    `json:"ms"`
	All    bool   `json:"all"`
}

// Root is the repository this module lies in; empty where it was taken out of it.
func Root() string {
	folder, err := os.Getwd()
	for err == nil && folder != filepath.Dir(folder) {
		if _, missing := os.Stat(filepath.Join(folder, "test/faults/subnet.mjs")); missing == nil {
			return folder
		}
		folder = filepath.Dir(folder)
	}
	return ""
}

// Start starts a subnet that ends with the test. `options` are those of Subnet in @cabstand/testing.
func Start(t testing.TB, options map[string]any) *Subnet {
	t.Helper()
	root := Root()
	if root == "" {
		t.Skip("only in the repository")
	}
	text, err := json.Marshal(options)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command("node", "test/faults/subnet.mjs", string(text))
	command.Dir, command.Stderr = root, os.Stderr
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		late := time.AfterFunc(time.Minute, func() { _ = command.Process.Kill() })
		_ = command.Wait()
		late.Stop()
	})
	lines := bufio.NewReader(stdout)
	s := &Subnet{stdin: stdin, wait: map[int]chan Answer{}}
	first, err := lines.ReadBytes('\n')
	if err != nil {
		t.Fatalf("the subnet did not start: %v (npm run build?)", err)
	}
	if err := json.Unmarshal(first, s); err != nil {
		t.Fatalf("%s: %v", first, err)
	}
	go s.read(lines)
	return s
}

func (s *Subnet) read(lines *bufio.Reader) {
	for {
		line, err := lines.ReadBytes('\n')
		var answer Answer
		if err == nil {
			err = json.Unmarshal(line, &answer)
		}
		s.mu.Lock()
		if err != nil {
			for _, one := range s.wait {
				one <- Answer{Error: fmt.Sprintf("the subnet ended: %v %s", err, line)}
			}
			s.wait = nil
			s.mu.Unlock()
			return
		}
		one := s.wait[answer.ID]
		delete(s.wait, answer.ID)
		s.mu.Unlock()
		one <- answer
	}
}

func (s *Subnet) do(t testing.TB, command map[string]any) Answer {
	t.Helper()
	answer := make(chan Answer, 1)
	s.mu.Lock()
	if s.wait == nil {
		s.mu.Unlock()
		t.Fatal("the subnet has ended")
	}
	s.next++
	command["id"] = s.next
	s.wait[s.next] = answer
	line, err := json.Marshal(command)
	if err == nil {
		_, err = s.stdin.Write(append(line, '\n'))
	}
	s.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	got := <-answer
	if got.Error != "" {
		t.Fatal(got.Error)
	}
	return got
}

// Hurt does something to the hoster at an address; the damage is done when it returns.
func (s *Subnet) Hurt(t testing.TB, fault Fault, address, model string) {
	t.Helper()
	index := 0
	for i, one := range s.Hosters {
		if one == address {
			index = i
		}
	}
	s.do(t, map[string]any{"fault": fault, "hoster": index, "model": model})
}

// Scheduled does the next fault of a seed's schedule to a hoster with running streams of these models. Its kind is
// empty where there is none that would be left. Engines of `engineless` hosters are spared.
func (s *Subnet) Scheduled(t testing.TB, seed, faults int, busy map[string][]string, engineless []string) Answer {
	t.Helper()
	return s.do(t, map[string]any{"seed": seed, "faults": faults, "busy": busy, "engineless": engineless})
}

// Mend waits until everything is whole, and gives what did not go as it should.
func (s *Subnet) Mend(t testing.TB) []string {
	t.Helper()
	return s.do(t, map[string]any{"mend": true}).Findings
}
