export { DTYPES, DTYPE_NUMBERS, dtypeFromWire, dtypeOfNumber, isDType } from './dtype';
export type { DType, NumericArray, WireDType } from './dtype';
export { float16Bits, float16Numbers } from './float16';
export { elementToJson, expectedElement, jsonElements, readElement } from './json';
export type { JsonElement } from './json';
export { refusedElement, tensorFromJson } from './json-tensor';
export { arrayFrom, fillValue, numbersOf, tensorFrom } from './numbers';
export type { ElementValue } from './numbers';
export {
  MAX_RANK,
  arrayOf,
  elementCount,
  float32Of,
  isSize,
  stringTensor,
  tensorOf,
} from './tensor';
export type { Tensor } from './tensor';
export { fromWire, tensorsFromWire, toWire } from './wire';
export type { WireTensor, WireTensorOut } from './wire';
