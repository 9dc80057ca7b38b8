package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/cabstand/cabstand-go"
	"github.com/cabstand/cabstand-go/internal/subnet"
)

// TestConformance runs the cases that clients of all languages are held to: none is left out.
func TestConformance(t *testing.T) {
	for _, name := range subnet.Cases(t) {
		t.Run(name, func(t *testing.T) {
			one := subnet.ServeCase(t, name)
			reports := perform(t, one)
			for _, problem := range one.Judge(t, reports) {
				t.Error(problem)
			}
			if t.Failed() {
				t.Logf("%+v", reports)
			}
		})
	}
	t.Run("a client that does something else fails", func(t *testing.T) {
		one := subnet.ServeCase(t, "plain-turns")
		problems := one.Judge(t, []subnet.Report{{Turn: 0, Position: new(int64), Text: "b"}, {Turn: 0, Error: "INTERNAL"}})
		if all := strings.Join(problems, "\n"); !strings.Contains(all, `turn 0: texts: got ["b"], expected ["a","b"]`) {
			t.Error(all)
		}
	})
}

// perform does what a case says, and tells what came of it.
func perform(t *testing.T, one *subnet.Case) []subnet.Report {
	t.Helper()
	silence := time.Duration(one.Do.StallMs) * time.Millisecond
	client, err := cabstand.Dial(cabstand.Config{
		Routers: []string{one.Router}, Timeouts: cabstand.Timeouts{Stall: silence, First: silence},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	durable := one.Do.Durable == nil || *one.Do.Durable
	session, err := client.Session(context.Background(), one.Model, cabstand.WithDurable(durable))
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	var reports []subnet.Report
	for number, deed := range one.Do.Turns {
		for _, report := range turnOf(t, session, deed) {
			report.Turn = number
			reports = append(reports, report)
		}
	}
	return reports
}

func turnOf(t *testing.T, session *cabstand.Session, deed subnet.CaseTurn) []subnet.Report {
	t.Helper()
	turn, err := beginOf(within(t, 2*time.Minute), session, deed)
	if err != nil {
		return []subnet.Report{{Error: string(cabstand.FromError(err).Reason)}}
	}
	var reports []subnet.Report
	for chunk, err := range turn.Chunks() {
		if err != nil {
			return append(reports, subnet.Report{Error: string(cabstand.FromError(err).Reason)})
		}
		report := subnet.Report{Position: &chunk.Position, Text: chunk.Text}
		if x := chunk.Output("x"); x.Name != "" {
			if report.Values, err = cabstand.Values[float32](x); err != nil {
				t.Error(err)
			}
		}
		reports = append(reports, report)
	}
	end := strings.TrimPrefix(turn.Result().Reason.String(), "END_REASON_")
	return append(reports, subnet.Report{End: strings.ToLower(end)})
}

func beginOf(ctx context.Context, session *cabstand.Session, deed subnet.CaseTurn) (*cabstand.Turn, error) {
	if deed.Live == nil {
		return session.Start(ctx, cabstand.Prompt(deed.Prompt))
	}
	turn, err := session.Live(ctx, cabstand.Input{})
	if err != nil {
		return nil, err
	}
	go func() {
		// What goes wrong shows where the records are read.
		for _, value := range deed.Live {
			if turn.Send(ctx, cabstand.NewTensor("x", []float32{value})) != nil {
				return
			}
		}
		_ = turn.CloseSend()
	}()
	return turn, nil
}
