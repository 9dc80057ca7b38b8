// What a refusal says, shortened to what it has in common with others.

const KINDS = [
  [/a (sequence|optional|map) input|an? input .*(sequence|optional|map)/, 'an input is a $1'],
  [/output.*(sequence|optional|map)/, 'every output is a $1'],
  [/one of float32, float64.*/, 'an element type that is not served (bfloat16)'],
  [/bfloat16|Unsupported data type/i, 'an element type that is not served (bfloat16)'],
  [/Could not find an implementation for (\w+)\(\d+\)/, 'ONNX Runtime has no kernel: $1'],
  [/(\S+)\(-?\d+\) is not a registered/, 'ONNX Runtime does not know the operator $1'],
  [/locale/, 'a locale that the machine lacks'],
  [/Batchwise recurrent operations/, 'recurrent operators with layout 1'],
];

export function kindOf(reason) {
  for (const [pattern, kind] of KINDS) {
    const match = pattern.exec(reason);
    if (match !== null) return kind.replace('$1', match[1] ?? '');
  }
  return reason.replace(/\S*\/\S*/g, '…').slice(0, 100);
}
