// What a refusal says, shortened to what it has in common with others.

const KINDS = [
  [/outputs: got \["(sequence|optional|map)/, 'no output is a tensor'],
  [/(?:got "|is an? )(sequence|optional|map)(?: input)?/, 'an input is a $1'],
  [/one of float32, float64|Unsupported data type/, 'a tensor is of bfloat16'],
  [/Could not find an implementation for (\w+)\(\d+\)/, 'ONNX Runtime has no kernel for $1'],
  [/(\S+)\(-?\d+\) is not a registered/, 'ONNX Runtime does not know the operator $1'],
  [/locale/, 'the machine lacks the locale that the graph names'],
  [/Batchwise recurrent operations/, 'ONNX Runtime has no recurrent operator with layout 1'],
];

export function kindOf(reason) {
  for (const [pattern, kind] of KINDS) {
    const match = pattern.exec(reason);
    if (match !== null) return kind.replace('$1', match[1] ?? '');
  }
  return reason.replace(/\S*\/\S*/g, '…').slice(0, 100);
}
