/** What callers send to a random graph, and what ONNX Runtime answers to each alone and to all together. */
import { Tensor as OrtTensor } from 'onnxruntime-node';
import type { InferenceSession } from 'onnxruntime-node';
import { DTYPES, arrayFrom, elementCount } from '@cabstand/tensor';
import type { DType, Tensor } from '@cabstand/tensor';
import { Random } from '../../faults/random';
import type { AnyGraph, GraphInput } from './any-graph';
