/** How finely a graph computes. */
import type { Rounding } from '../manifest/program';
import { operators } from '../onnx-file/reach';
import type { GraphSummary } from '../onnx-file/types';

/** All numbers of a run are rounded to 8 bits, by the largest of them. */
const BY_RUN = /Dynamic\w*Quantize/;
/** Their inputs are rounded to few bits, or may be: QuantizeLinear, MatMulNBits, MatMulInteger, QLinearMatMul. */
const BY_TOKEN = /Quantize|NBits|Bnb4|Integer|\bQ(?:Linear|Gemm|MoE|Attention)/;

export function roundingOf(
  graphs: readonly GraphSummary[],
  dtypes: readonly ('float32' | 'float16')[],
): Rounding {
  const names = graphs.flatMap((graph) => [...operators(graph)]);
  if (names.some((name) => BY_RUN.test(name))) return 'by-run';
  if (dtypes.includes('float16') || names.some((name) => BY_TOKEN.test(name))) return 'by-token';
  return 'fine';
}
