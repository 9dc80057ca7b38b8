package cabstand

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"

	pb "github.com/cabstand/cabstand-go/proto/cabstand/v1"
)

// DType is the element type of a tensor.
type DType = pb.DataType

// Tensor is dense and row-major.
type Tensor struct {
	// Name is that of the model's input or output.
	Name  string
	DType DType
	// Shape has the sizes of all dimensions, at most 8; empty for a scalar.
	Shape []int64
	// Data are the raw little-endian elements.
	Data []byte
	// Strings are the elements of a tensor of strings, and of no other.
	Strings []string
}

// Element is what a Go slice can hold of a tensor.
type Element interface {
	float32 | float64 | int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64 | bool
}

// NewTensor makes a tensor of a slice, which it copies. Without a shape it has one dimension.
func NewTensor[T Element](name string, data []T, shape ...int64) Tensor {
	if len(shape) == 0 {
		shape = []int64{int64(len(data))}
	}
	// Never fails: the elements have fixed sizes.
	raw, _ := binary.Append(make([]byte, 0, binary.Size(data)), binary.LittleEndian, data)
	return Tensor{Name: name, DType: dtypeOf[T](), Shape: slices.Clone(shape), Data: raw}
}

// NewStrings makes a tensor of texts. Without a shape it has one dimension.
func NewStrings(name string, data []string, shape ...int64) Tensor {
	if len(shape) == 0 {
		shape = []int64{int64(len(data))}
	}
	return Tensor{Name: name, DType: pb.DataType_DATA_TYPE_STRING, Shape: slices.Clone(shape), Strings: slices.Clone(data)}
}

// Values gives the elements of a tensor. Fails with INPUT_DTYPE if they are of another type than T. Elements of
// float16 come as the bits, in uint16.
func Values[T Element](t Tensor) ([]T, error) {
	want := dtypeOf[T]()
	half := t.DType == pb.DataType_DATA_TYPE_FLOAT16 && want == pb.DataType_DATA_TYPE_UINT16
	if t.DType != want && !half {
		return nil, newError(ReasonInputDtype, "tensor %q has elements of %v, not of %v", t.Name, t.DType, want)
	}
	values := make([]T, len(t.Data)/elementSize(t.DType))
	if _, err := binary.Decode(t.Data, binary.LittleEndian, values); err != nil {
		return nil, newError(ReasonInputBytes, "tensor %q: %v", t.Name, err)
	}
	return values, nil
}

func dtypeOf[T Element]() DType {
	var one T
	switch any(one).(type) {
	case float32:
		return pb.DataType_DATA_TYPE_FLOAT32
	case float64:
		return pb.DataType_DATA_TYPE_FLOAT64
	case int8:
		return pb.DataType_DATA_TYPE_INT8
	case int16:
		return pb.DataType_DATA_TYPE_INT16
	case int32:
		return pb.DataType_DATA_TYPE_INT32
	case int64:
		return pb.DataType_DATA_TYPE_INT64
	case uint8:
		return pb.DataType_DATA_TYPE_UINT8
	case uint16:
		return pb.DataType_DATA_TYPE_UINT16
	case uint32:
		return pb.DataType_DATA_TYPE_UINT32
	case uint64:
		return pb.DataType_DATA_TYPE_UINT64
	default:
		return pb.DataType_DATA_TYPE_BOOL
	}
}

func elementSize(dtype DType) int {
	switch dtype {
	case pb.DataType_DATA_TYPE_FLOAT64, pb.DataType_DATA_TYPE_INT64, pb.DataType_DATA_TYPE_UINT64:
		return 8
	case pb.DataType_DATA_TYPE_FLOAT32, pb.DataType_DATA_TYPE_INT32, pb.DataType_DATA_TYPE_UINT32:
		return 4
	case pb.DataType_DATA_TYPE_FLOAT16, pb.DataType_DATA_TYPE_INT16, pb.DataType_DATA_TYPE_UINT16:
		return 2
	default:
		return 1
	}
}

// toWire copies a tensor, whose owner may go on to use its memory.
func (t Tensor) toWire() (*pb.Tensor, *Error) {
	count := int64(1)
	for i, size := range t.Shape {
		if size < 0 || (size > 0 && count > (1<<31)/size) {
			return nil, newError(ReasonInputShape, "tensor %q: dimension %d is %d, which it cannot be", t.Name, i, size).
				with("field", fmt.Sprintf("tensor %q", t.Name), "value", fmt.Sprint(size), "expected", "a size from 0")
		}
		count *= size
	}
	have, what := int64(len(t.Data)), "bytes"
	want := count * int64(elementSize(t.DType))
	if t.DType == pb.DataType_DATA_TYPE_STRING {
		have, want, what = int64(len(t.Strings)), count, "strings"
	}
	if have != want {
		return nil, newError(ReasonInputBytes, "tensor %q has %d %s, but %v of shape %v takes %d",
			t.Name, have, what, t.DType, t.Shape, want).
			with("field", fmt.Sprintf("tensor %q", t.Name), "value", fmt.Sprint(have), "expected", fmt.Sprint(want))
	}
	return &pb.Tensor{
		Name: t.Name, Dtype: t.DType, Shape: slices.Clone(t.Shape), Data: slices.Clone(t.Data),
		Strings: slices.Clone(t.Strings),
	}, nil
}

func tensorsToWire(tensors []Tensor) ([]*pb.Tensor, *Error) {
	wire := make([]*pb.Tensor, 0, len(tensors))
	for _, tensor := range tensors {
		one, err := tensor.toWire()
		if err != nil {
			return nil, err
		}
		wire = append(wire, one)
	}
	return wire, nil
}

func tensorOf(wire *pb.Tensor) Tensor {
	return Tensor{wire.GetName(), wire.GetDtype(), wire.GetShape(), wire.GetData(), wire.GetStrings()}
}

func bytesOf(tensors []*pb.Tensor) int {
	sum := 0
	for _, tensor := range tensors {
		sum += len(tensor.GetData())
		for _, text := range tensor.GetStrings() {
			sum += len(text)
		}
	}
	return sum
}

// Input is what one turn computes on.
type Input struct {
	// Prompt is text, for models that take it.
	Prompt  string
	Tensors []Tensor
	// Parameters of the turn, as rpc_info lists them. Whole numbers beyond 2^53 are text.
	Parameters map[string]any
}

// Prompt is an input of text alone.
func Prompt(text string) Input { return Input{Prompt: text} }

// Tensors is an input of tensors alone.
func Tensors(tensors ...Tensor) Input { return Input{Tensors: tensors} }

func (in Input) toWire() (*pb.TurnInput, *Error) {
	tensors, bad := tensorsToWire(in.Tensors)
	if bad != nil {
		return nil, bad
	}
	wire := &pb.TurnInput{Prompt: in.Prompt, Inputs: tensors}
	if len(in.Parameters) > 0 {
		text, err := json.Marshal(in.Parameters)
		if err != nil {
			return nil, invalid("Parameters", in.Parameters, "values that JSON has").because(err)
		}
		wire.Parameters = string(text)
	}
	return wire, nil
}
