package cabstand

import (
	pb "github.com/cabstand/cabstand-go/proto/cabstand/v1"
)

// EndReason says how a turn ended.
type EndReason = pb.EndReason

// Chunk is the output of one model step.
type Chunk struct {
	// Text decoded by this step; may be empty.
	Text    string
	Outputs []Tensor
	// Position counts all records of the session, Index the chunks of the turn.
	Position, Turn int64
	Index          int
}

func chunkOf(record *pb.Record, body *pb.Chunk, index int) *Chunk {
	chunk := &Chunk{Text: body.GetText(), Position: record.GetPosition(), Turn: record.GetTurn(), Index: index}
	for _, output := range body.GetOutputs() {
		chunk.Outputs = append(chunk.Outputs, tensorOf(output))
	}
	return chunk
}

// Output gives an output by its name; the first one for an empty name. Its tensor has no name where there is none.
func (c *Chunk) Output(name string) Tensor {
	for _, output := range c.Outputs {
		if name == "" || output.Name == name {
			return output
		}
	}
	return Tensor{}
}

// Result is how a turn ended, in order.
type Result struct {
	Reason EndReason
	// Steps are model steps that were computed, Chunks those that came out.
	Steps  int64
	Chunks int
	// Note is for people: why an orderly turn computed nothing.
	Note string
	// Generation is what became of an answer of a language model; nil for other models.
	Generation *Generation
}

// Generation counts the tokens of an answer of a language model.
type Generation struct {
	// Finish is "stop" where a token or text ended it, "length" where it may have no more tokens, and empty
	// where something else ended the turn.
	Finish string
	Prompt int64
	// Cached are those of the prompt that were not computed for this turn.
	Cached int64
	// Answer counts the one that ended the answer, too.
	Answer int64
}

func generationOf(end *pb.EndOfTurn) *Generation {
	told := end.GetGeneration()
	if told == nil {
		return nil
	}
	finish := ""
	switch told.GetFinish() {
	case pb.FinishReason_FINISH_REASON_STOP:
		finish = "stop"
	case pb.FinishReason_FINISH_REASON_LENGTH:
		finish = "length"
	}
	return &Generation{finish, told.GetPromptTokens(), told.GetCachedTokens(), told.GetAnswerTokens()}
}
