package cabstand

import (
	"context"
	"encoding/json"
	"iter"
	"time"
)

// Generate is what a turn of a language model goes on with: text, ids of tokens, or a conversation; one of the three.
type Generate struct {
	Prompt string
	// IDs are those of the prompt's tokens.
	IDs []int64
	// Messages is a conversation, which the model's chat template makes a prompt of. A model without a template
	// refuses it with INPUT_UNKNOWN.
	Messages []Said
	// Tools goes with Messages: functions that the model may call, as its template takes them.
	Tools []any
	// Template goes with Messages: variables of the model's chat template.
	Template map[string]any
	// Parameters of the turn, by the names that the model has for them: max_tokens, temperature, top_k, top_p, seed …
	// What is not given is the model's default.
	Parameters map[string]any
}

// Said is what somebody said in a conversation.
type Said struct {
	// Role is system, developer, user, assistant or tool.
	Role    string `json:"role"`
	Content string `json:"content"`
}

// Token is what a language model chose.
type Token struct {
	ID int64
	// Text is what is whole with this token: none for half a character, or of a model without a tokenizer.
	Text string
	// Index counts the tokens of the answer, Position all records of the session.
	Index    int
	Position int64
}

// Generate has a language model go on with a text or a conversation, and gives its tokens as they come. An error is
// the last thing it gives. Leaving the loop early cancels the turn; the session can start another one.
func (s *Session) Generate(ctx context.Context, ask Generate) iter.Seq2[Token, error] {
	return func(yield func(Token, error) bool) {
		in, bad := ask.input(time.Now())
		if bad != nil {
			yield(Token{}, bad)
			return
		}
		for chunk, err := range s.Run(ctx, in) {
			if err != nil {
				yield(Token{}, err)
				return
			}
			ids, err := Values[int64](chunk.Output("token"))
			if err != nil || len(ids) != 1 {
				yield(Token{}, invalid("model", s.model, "a language model: a chunk has no token"))
				return
			}
			if !yield(Token{ID: ids[0], Text: chunk.Text, Index: chunk.Index, Position: chunk.Position}, nil) {
				return
			}
		}
	}
}

// input is that of the turn. Templates are told what the time was at its beginning, wherever it goes on.
func (g Generate) input(now time.Time) (Input, *Error) {
	given := 0
	for _, one := range []bool{g.Prompt != "", len(g.IDs) > 0, len(g.Messages) > 0} {
		if one {
			given++
		}
	}
	if given != 1 {
		return Input{}, invalid("Prompt, IDs, Messages", given, "one of the three")
	}
	if len(g.Messages) == 0 {
		if len(g.Tools) > 0 || len(g.Template) > 0 {
			return Input{}, invalid("Tools, Template", "without Messages", "Messages beside them")
		}
		in := Input{Prompt: g.Prompt, Parameters: g.Parameters}
		if len(g.IDs) > 0 {
			in.Tensors = []Tensor{NewTensor("input_ids", g.IDs)}
		}
		return in, nil
	}
	text, err := json.Marshal(struct {
		Messages []Said         `json:"messages"`
		Tools    []any          `json:"tools,omitempty"`
		Template map[string]any `json:"template,omitempty"`
		Now      int64          `json:"now"`
	}{g.Messages, g.Tools, g.Template, now.Unix()})
	if err != nil {
		return Input{}, invalid("Tools, Template", "something else", "values that JSON has").because(err)
	}
	return Input{Tensors: []Tensor{NewStrings("messages", []string{string(text)})}, Parameters: g.Parameters}, nil
}
