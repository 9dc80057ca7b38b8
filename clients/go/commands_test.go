package cabstand

import (
	"fmt"
	"slices"
	"testing"

	pb "github.com/cabstand/cabstand-go/proto/cabstand/v1"
)

// told of a stream, as "number name"; it is taken off it.
func told(s *stream) (all []string) {
	for _, message := range s.out {
		command := message.GetCommand()
		all = append(all, fmt.Sprint(command.GetSequence(), " ", command.GetName()))
	}
	s.out = nil
	return all
}

func give(t *testing.T, c *commands, names ...string) (given []*command) {
	t.Helper()
	for _, name := range names {
		one, err := c.add(name, nil)
		if err != nil {
			t.Fatal(err)
		}
		given = append(given, one)
	}
	return given
}

func TestCommandsFollowWhatTheirHosterExpects(t *testing.T) {
	for _, one := range []struct {
		what     string
		expected int64
		want     []string
	}{
		{"a hoster that lacks them", 1, []string{"1 b", "2 c"}},
		{"one that has the first of them", 2, []string{"2 c"}},
		{"one that has all", 3, nil},
		{"one that was taken over from another process", 7, nil},
		// The record of the first one is here: no other one takes its number.
		{"one that has forgotten what it told", 0, []string{"1 b", "2 c"}},
	} {
		t.Run(one.what, func(t *testing.T) {
			c, s := &commands{}, newFakeStream()
			give(t, c, "a", "b", "c")
			c.opened(s, 0, false)
			if got := told(s); !slices.Equal(got, []string{"0 a", "1 b", "2 c"}) {
				t.Fatal(got)
			}
			c.tookEffect(0)
			c.broke()
			next := newFakeStream()
			c.opened(next, one.expected, false)
			if got := told(next); !slices.Equal(got, one.want) {
				t.Fatal(got)
			}
			give(t, c, "d")
			if got, want := told(next), fmt.Sprint(max(one.expected, 3), " d"); !slices.Equal(got, []string{want}) {
				t.Fatal(got)
			}
		})
	}
}

func TestCommandsBehindThoseThatAreLostGetNumbersWithoutAGap(t *testing.T) {
	c, first := &commands{next: 5}, newFakeStream()
	given := give(t, c, "a", "b")
	c.opened(first, 5, false)
	c.broke()
	next := newFakeStream()
	c.opened(next, 3, false)
	if got := told(next); !slices.Equal(got, []string{"3 a", "4 b"}) {
		t.Fatal(got)
	}
	if got := told(first); !slices.Equal(got, []string{"5 a", "6 b"}) {
		t.Fatal("what another hoster was told has changed", got)
	}
	c.result(&pb.CommandResult{Sequence: 3, Outcome: &pb.CommandResult_Value{Value: `"of a"`}})
	select {
	case outcome := <-given[0].done:
		if string(outcome.value) != `"of a"` {
			t.Fatal(outcome)
		}
	default:
		t.Fatal("no result")
	}
}
