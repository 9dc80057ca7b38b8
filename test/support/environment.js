const { TestEnvironment } = require('jest-environment-node');

const TYPED_ARRAYS = [
  ...[Float32Array, Float64Array, Int8Array, Int16Array, Int32Array, BigInt64Array],
  ...[Uint8Array, Uint16Array, Uint32Array, BigUint64Array],
];

/** A test's limit of time finds what hangs. A machine that does much else at once is slow, which is no hang. */
const PATIENCE = process.env.CI ? 4 : 1;

/**
 * Node's environment with the outer realm's typed arrays: ONNX Runtime checks its tensors' data with
 * `instanceof`, and jest gives each test file a realm of its own.
 */
module.exports = class extends TestEnvironment {
  constructor(config, context) {
    super(config, context);
    for (const type of TYPED_ARRAYS) this.global[type.name] = type;
  }

  handleTestEvent({ name, test }, state) {
    if (name === 'test_start') test.timeout = PATIENCE * (test.timeout ?? state.testTimeout);
  }
};
