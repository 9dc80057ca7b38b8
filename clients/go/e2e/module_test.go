package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/cabstand/cabstand-go"
)

func module(t *testing.T, client *cabstand.Client) {
	var messages []cabstand.Message
	session, err := client.Session(context.Background(), "plasma", cabstand.WithOnMessage(func(m cabstand.Message) {
		messages = append(messages, m)
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	ctx := within(t, time.Minute)
	results := make(chan error, 1)
	chunks := 0
	for _, err := range session.Run(ctx, cabstand.Input{}) {
		if err != nil {
			t.Fatal(err)
		}
		if chunks++; chunks == 1 {
			go func() {
				_, err := session.Command(ctx, "no_such_command", nil)
				if reason(err) != cabstand.ReasonCommandUnknown {
					results <- err
					return
				}
				value, err := session.Command(ctx, "set_prompt", map[string]any{"prompt": "ocean"})
				if err == nil && !strings.Contains(string(value), "from_frame") {
					t.Errorf("%s", value)
				}
				results <- err
			}()
		}
		select {
		case err := <-results:
			if err != nil {
				t.Fatal(err)
			}
			return
		default:
		}
	}
	t.Fatal("the module ended before its command")
}
